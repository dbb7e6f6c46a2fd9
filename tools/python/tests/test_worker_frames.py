"""Frames of a partition as workers read them: any tiles, any part, any type, with numba and without."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from stemwire.frames import FrameFormat, Tile
from stemwire.worker import swapping

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
