"""Frames in the detector's byte order, read as numbers of this machine.

numpy swaps bytes at a sixth of the speed at which it converts numbers. numba, which is there where LiberTEM is, does
both in one go and as fast as numpy does the second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from ..frames import Tile
from .plans import Array

Kernel: TypeAlias = Callable[[Array, int, Array], None]
_RESULTS = frozenset(map(np.dtype, ("u2", "u4", "u8", "i4", "i8", "f4", "f8")))


def read_frames(tile: Tile, frames: range, part: tuple[slice, ...], out: Array) -> None:
    """Copies frames of a tile, or a part (rows, columns) of each, in the type of `out`."""
    if not _read_swapped(tile, frames, part, out):
        index = (slice(frames.start, frames.stop), *part)
        np.copyto(out, tile.frames[index], casting="unsafe")


def _read_swapped(tile: Tile, frames: range, part: tuple[slice, ...], out: Array) -> bool:
    """False when the frames are not in foreign byte order, or not whole rows are wanted, or numba is not there."""
    sent = tile.format.sent_dtype
    if sent is None or sent.isnative or out.dtype not in _RESULTS or out.dtype.itemsize < sent.itemsize:
        return False
    kernel = _kernel(sent.itemsize)
    height, width = tile.sig_shape
    rows = part[0] if part else slice(0, height)
    if kernel is None or out.shape != (len(frames), rows.stop - rows.start, width) or not out.flags.c_contiguous:
        return False
    pixels = (rows.stop - rows.start) * width
    start = tile.pixel_offset + frames.start * tile.stride + rows.start * width * sent.itemsize
    size = (len(frames) - 1) * tile.stride + pixels * sent.itemsize
    data: Array = np.ndarray((size,), np.uint8, tile.payload, start)
    kernel(data, tile.stride, out.reshape(len(frames), pixels))
    return True


@cache
def _kernel(size: int) -> Kernel | None:
    """Of bytes, their number from one frame to the next, and images (frame, pixel); compiled for what it is given."""
    try:
        import numba
    except ImportError:
        return None
    made: dict[int, Kernel] = {2: _two, 4: _four}
    if size not in made:
        return None
    kernel: Kernel = numba.njit(cache=True, nogil=True)(made[size])
    return kernel


# Contiguous bytes seen as numbers: else the compiler would not make one instruction for many pixels of it.


def _two(data: Any, stride: int, out: Any) -> None:
    for frame in range(out.shape[0]):
        source = data[frame * stride : frame * stride + 2 * out.shape[1]].view(np.uint16)
        target = out[frame]
        for index in range(target.size):
            value = source[index]
            target[index] = np.uint16((value << np.uint16(8)) | (value >> np.uint16(8)))


def _four(data: Any, stride: int, out: Any) -> None:
    for frame in range(out.shape[0]):
        source = data[frame * stride : frame * stride + 4 * out.shape[1]].view(np.uint32)
        target = out[frame]
        for index in range(target.size):
            value = source[index]
            value = np.uint32((value << np.uint32(16)) | (value >> np.uint32(16)))
            low = (value & np.uint32(0x00FF00FF)) << np.uint32(8)
            target[index] = np.uint32(low | ((value >> np.uint32(8)) & np.uint32(0x00FF00FF)))
