"""Frames of a partition as workers read them: any tiles, any part, any type, with numba and without."""

from __future__ import annotations

import mmap
import os
import uuid
from typing import Any

import numpy as np
import pytest

from stemwire._core.messages import FormatCache
from stemwire._wire import stemwire_pb2 as pb
from stemwire.errors import ProtocolError
from stemwire.frames import FrameFormat, Tile
from stemwire.worker import swapping
from stemwire.worker.frames import PartitionFrames
from stemwire.worker.memory import FrameMemory, FramesGone
from stemwire.worker.plans import Meta

SIG = (24, 40)
COUNT = 5


def made(dtype: str, gap: int) -> tuple[Tile, np.ndarray[Any, Any]]:
    """A tile whose frames lie at odd addresses, and its frames."""
    sent = np.dtype(dtype)
    size = SIG[0] * SIG[1] * sent.itemsize
    stride, offset = size + gap, 15
    payload = np.random.default_rng(3).integers(0, 256, stride * COUNT + offset, np.uint8)
    name = f"U{8 * sent.itemsize:02}"
    native = sent.newbyteorder("=")
    form = FrameFormat(name, 12, "1x1", SIG[1], SIG[0], 1, 384, size, SIG, native)
    memory = memoryview(payload.tobytes())
    tile = Tile(uuid.uuid4(), 1, 100, COUNT, 0, form, (8, 8), stride, 0, offset, 0, memory)
    return tile, np.array(tile.frames, native)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", [">u2", ">u4", "u1", ">u8"])
def test_every_type_and_part(monkeypatch: pytest.MonkeyPatch, dtype: str, compiled: bool) -> None:
    if compiled:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(swapping, "_kernel", lambda size: None)
    tile, frames = made(dtype, gap=399)
    parts: list[tuple[slice, ...]] = [
        (),
        (slice(0, 24), slice(0, 40)),
        (slice(5, 17), slice(0, 40)),
        (slice(5, 17), slice(3, 30)),
    ]
    for part in parts:
        for chosen in (range(0, 5), range(1, 4), range(4, 5)):
            wanted = frames[chosen.start : chosen.stop][(slice(None), *part)]
            for result in ("u1", "u2", "u4", "u8", "i4", "f4", "f8", "c8"):
                out = np.zeros(wanted.shape, result)
                swapping.read_frames(tile, chosen, part, out)
                assert np.array_equal(out, wanted.astype(result)), (part, chosen, result)


def test_frames_that_are_not_there_are_an_error() -> None:
    tile, _ = made(">u2", gap=1)
    with pytest.raises((ValueError, TypeError)):
        swapping.read_frames(tile, range(3, 7), (), np.zeros((4, *SIG), np.float32))


def shared(slots: int = 2) -> tuple[int, memoryview, pb.FrameMemory]:
    """A server's memory for frames: its descriptor, its bytes, and what a worker is told of it."""
    size = 4096 * (slots + 1)
    descriptor = os.memfd_create("test")
    os.truncate(descriptor, size)
    data = memoryview(mmap.mmap(descriptor, size))
    inode = os.fstat(descriptor).st_ino
    return descriptor, data, pb.FrameMemory(path=f"/proc/self/fd/{descriptor}", bytes=size, inode=inode, slots=slots)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="shared memory of this kind is Linux's")
def test_frames_in_the_servers_memory_count_only_while_they_are_there() -> None:
    descriptor, data, told = shared()
    fillings = data[:16].cast("Q")
    fillings[1] = 7
    form = pb.FrameFormat(pixel_type="U16", data_offset=0, payload_bytes=16, sig_shape=[2, 4], dtype="uint16")
    first = pb.Tile(acquisition=bytes(16), partition=0, format=form, stride=20, header_offset=2, pixel_offset=4)
    place = pb.FramesInMemory(first_position=4, count=3, offset=4096, slot=1, filling=7)
    frames = np.arange(24, dtype=">u2").reshape(3, 8)
    for index in range(3):
        start = 4096 + 20 * index + 4
        data[start : start + 16] = frames[index].tobytes()
    memory = FrameMemory(told)
    try:
        (tile,) = memory.tiles(first, [place], FormatCache())
        meta = Meta(uuid.UUID(int=0), (8,), (2, 4), np.dtype("u2"), 8, tile.format)
        part = PartitionFrames(meta, 0, [tile])
        out = np.zeros((3, 2, 4), np.float32)
        part.read(range(4, 7), out)
        assert np.array_equal(out.reshape(3, 8), frames)
        # Of what follows, no UDF ever sees a byte.
        fillings[1] = 8
        with pytest.raises(FramesGone):
            part.read(range(4, 5), out[:1])
        for wrong in ({"offset": told.bytes - 10}, {"slot": 2}, {"count": 0}):
            changed = pb.FramesInMemory()
            changed.CopyFrom(place)
            for name, value in wrong.items():
                setattr(changed, name, value)
            with pytest.raises(ProtocolError):
                memory.tiles(first, [changed], FormatCache())
        told.inode += 1
        with pytest.raises(ProtocolError, match="container"):
            FrameMemory(told)
    finally:
        os.close(descriptor)
