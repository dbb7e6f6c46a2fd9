"""Frames as numpy arrays: views where the format allows, decoders where it does not, and sizes checked before both."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stemwire import DecodeError, FrameFormat, ProtocolError, Tile
from stemwire._core.raw import DTYPES

from . import merlin
from .merlin import Kind

DECODED = {"U01": "u1", "U08": "u1", "U16": "u2", "U32": "u4", "U64": "u8"}
DIRECT = [Kind("U08", 6), Kind("U16", 12), Kind("U32", 24), Kind("U64", 24)]
RAW = [Kind("R64", depth, layout) for depth in (1, 6, 12, 24) for layout in ("1x1", "2x2", "2x2G")]


def sizes(kind: Kind) -> tuple[int, int]:
    """Small images; raw ones whose chip rows are whole words."""
    return {"1x1": (6, 64), "2x2": (4, 128), "2x2G": (6, 130)}[kind.layout]


def stack(kind: Kind, count: int = 3, prefix: int = 15) -> tuple[Tile, np.ndarray[Any, Any]]:
    """A tile as the server sends it, and its images."""
    images = merlin.images((1, count), sizes(kind), kind)[0]
    header = merlin.frame_header(1, images[0], kind)
    bodies = [
        b"P" * prefix + merlin.frame_header(i + 1, images[i], kind) + merlin.encode_frame(images[i], kind)
        for i in range(count)
    ]
    payload_bytes = len(bodies[0]) - prefix - len(header)
    dtype = DTYPES[kind.depth] if kind.pixel_type == "R64" else np.dtype(DECODED[kind.pixel_type])
    form = FrameFormat(
        kind.pixel_type, kind.depth, kind.layout, 0, 0, 1, len(header), payload_bytes, sizes(kind), dtype
    )
    payload = memoryview(b"".join(bodies))
    pixels = prefix + len(header)
    tile = Tile(uuid.uuid4(), 1, 10, count, 0, form, (4, 4), len(bodies[0]), prefix, pixels, 0, payload)
    tile.check()
    return tile, images


@pytest.mark.parametrize("kind", [*DIRECT, *RAW], ids=str)
@pytest.mark.parametrize("prefix", [0, 15, 16])
def test_frames_are_the_images(kind: Kind, prefix: int) -> None:
    tile, images = stack(kind, prefix=prefix)
    assert tile.frames.shape == images.shape
    assert np.array_equal(tile.frames, images)
    decoded = tile.decoded()
    assert np.array_equal(decoded, images)
    assert decoded.dtype == tile.format.dtype
    assert decoded.dtype.isnative
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable
    out = np.zeros(images.shape, np.float64)
    assert tile.decoded(out=out) is out
    assert np.array_equal(out, images)
    assert tile.header(1).startswith(b"MQ1,000002,")
    with pytest.raises(IndexError):
        tile.header(3)
    assert [position for position, _ in tile] == [10, 11, 12]


@pytest.mark.parametrize("kind", DIRECT, ids=str)
def test_processed_frames_are_views(kind: Kind) -> None:
    tile, _ = stack(kind)
    whole = np.frombuffer(tile.payload, np.uint8)
    assert not tile.format.is_raw
    assert np.shares_memory(tile.frames, whole)
    assert not tile.frames.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        tile.frames[0, 0, 0] = 1


@pytest.mark.parametrize("kind", [Kind("U16", 12), Kind("R64", 12)], ids=str)
def test_parts(kind: Kind) -> None:
    tile, images = stack(kind, count=5)
    part = tile.part(range(11, 14))
    assert part.positions == range(11, 14)
    assert np.array_equal(part.frames, images[1:4])
    assert tile.part(range(10, 15)) is tile
    for wrong in (range(9, 11), range(13, 16), range(11, 11)):
        with pytest.raises(ValueError, match="within"):
            tile.part(wrong)


def test_tiles_that_do_not_fit_are_refused() -> None:
    tile, _ = stack(Kind("U16", 12))
    for wrong in (
        replace(tile, header_offset=tile.pixel_offset + 1),
        replace(tile, pixel_offset=tile.pixel_offset + 1),
        replace(tile, stride=tile.stride - 1),
        replace(tile, stride=tile.stride + 1),
        replace(tile, count=4),
        replace(tile, count=0),
        replace(tile, payload=tile.payload[:-1]),
    ):
        with pytest.raises(ProtocolError):
            wrong.check()


@pytest.mark.parametrize(
    "change",
    [
        {"payload_bytes": 8},
        {"sig_shape": (6, 63)},
        {"pixel_type": "U32"},
        {"pixel_type": "PR1"},
        {"pixel_type": "U01"},
        {"pixel_type": "R64", "counter_depth": 0},
        {"pixel_type": "R64", "counter_depth": 6},
        {"pixel_type": "R64", "counter_depth": 12, "layout": "Nx1"},
        {"pixel_type": "R64", "counter_depth": 12, "layout": "2x2G"},
    ],
)
def test_formats_that_cannot_be(change: dict[str, Any]) -> None:
    tile, _ = stack(Kind("U16", 12))
    wrong = replace(tile, format=replace(tile.format, **change))
    with pytest.raises(DecodeError):
        _ = wrong.frames


def test_unpacked_single_bit() -> None:
    tile, images = stack(Kind("U08", 1))
    single = replace(tile, format=replace(tile.format, pixel_type="U01"))
    assert np.array_equal(single.frames, images)
