"""Decodes the Medipix3 chips' raw stream (pixel type R64) in whole stacks, without a loop over frames or pixels.

The stream is 64-bit words. Within each, the pixels stand in reverse, and 12-bit pixels are big-endian. So the words
with their bytes reversed hold the pixels in order, little-endian: one pass of numpy's byte swap does what a table
would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DecodeError

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.uint8),
    6: np.dtype(np.uint8),
    12: np.dtype(np.uint16),
    24: np.dtype(np.uint32),
}
_BITS = {1: 1, 6: 8, 12: 16, 24: 32}
_WORD = 8

Pixels = npt.NDArray[Any]


def check_raw(depth: int, layout: str, sig_shape: tuple[int, int], payload_bytes: int) -> None:
    """Raises `DecodeError` when frames of this kind cannot be decoded, or are not of the size that they should be."""
    if depth not in _BITS:
        raise DecodeError(f"raw frames need a counter depth of 1, 6, 12 or 24 bit, this one says {depth}")
    height, width = sig_shape
    gap = _gap(layout)
    if layout == "1x1":
        pixels = height * width
    else:
        if (height - gap) % 2 or (width - gap) % 2 or height <= gap or width <= gap:
            raise DecodeError(f"raw frames of layout {layout} cannot have the shape {height} × {width}")
        pixels = (height - gap) * (width - gap)
    if pixels * _BITS[depth] != payload_bytes * 8 or (payload_bytes // (2 if depth == 24 else 1)) % _WORD:
        raise DecodeError(
            f"raw frames of {depth} bit, layout {layout} and shape {height} × {width} have "
            f"{pixels * _BITS[depth] // 8} bytes, these have {payload_bytes}"
        )


def decode_raw(payloads: npt.NDArray[np.uint8], depth: int, layout: str, sig_shape: tuple[int, int]) -> Pixels:
    """The images (frame, y, x) of raw payloads (frame, byte); call `check_raw` first."""
    height, width = sig_shape
    gap = _gap(layout)
    if layout == "1x1":
        return _pixels(payloads, depth).reshape(-1, height, width)
    return _assemble_quad(_pixels(payloads, depth), height, width, gap)


def _gap(layout: str) -> int:
    """Rows (and columns) between the chips of a quad, which hold 0."""
    if layout in ("1x1", "2x2"):
        return 0
    if layout == "2x2G":
        return 2
    raise DecodeError(
        f"raw frames of layout {layout!r} cannot be decoded: single chips (1x1) and quads (2x2, 2x2G) can"
    )


def _pixels(payloads: npt.NDArray[np.uint8], depth: int) -> Pixels:
    """The pixels (frame, pixel) in the order in which the chips send them."""
    if depth == 24:
        half = payloads.shape[1] // 2
        high, low = _pixels(payloads[:, :half], 12), _pixels(payloads[:, half:], 12)
        value = high.astype(np.uint32)
        value <<= 12
        value += low
        return value
    swapped = payloads.view(">u8").astype("<u8")
    if depth == 1:
        return np.unpackbits(swapped.view(np.uint8), axis=1, bitorder="little")
    if depth == 6:
        return swapped.view(np.uint8)
    return swapped.view("<u2").astype(np.uint16, copy=False)


def _assemble_quad(pixels: Pixels, height: int, width: int, gap: int) -> Pixels:
    """Puts the four chips where they are on the sensor.

    A raw row is a row of chip 4 (bottom right), 3 (bottom left), 2 (top right), 1 (top left); the lower two are
    turned by 180°.
    """
    rows, columns = (height - gap) // 2, (width - gap) // 2
    chips = pixels.reshape(-1, rows, 4, columns)
    make = np.zeros if gap else np.empty
    image: Pixels = make((len(chips), height, width), pixels.dtype)
    right, bottom = columns + gap, rows + gap
    image[:, bottom:, right:] = chips[:, ::-1, 0, ::-1]
    image[:, bottom:, :columns] = chips[:, ::-1, 1, ::-1]
    image[:, :rows, right:] = chips[:, :, 2]
    image[:, :rows, :columns] = chips[:, :, 3]
    return image
