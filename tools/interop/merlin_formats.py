"""The Merlin's pixel formats and sensor layouts, and the encoding of images into them.

Written from the protocol's description alone, so that it shares no mistake with Stemwire's decoders or simulator.
Images are numpy arrays (frames, y, x) in the order in which the detector's processed files hold them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHIP = 256
"""Rows and columns of one Medipix3 chip."""
GAP = 2
"""Width in pixels of the gap between the chips of a 2x2G sensor."""

Images = NDArray[Any]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class MerlinFormat:
    """What a frame's payload is: pixel type (U08, U16, U32, R64), counter depth in bits, sensor layout."""

    pixel_type: str
    depth: int
    layout: str

    @property
    def name(self) -> str:
        kind = f"{self.pixel_type}-{self.depth}" if self.is_raw else self.pixel_type
        return f"{kind}-{self.layout}".lower()

    @property
    def is_raw(self) -> bool:
        return self.pixel_type == "R64"

    @property
    def is_quad(self) -> bool:
        return self.layout != "1x1"

    @property
    def has_gap(self) -> bool:
        return self.layout.endswith("G")

    @property
    def chips(self) -> int:
        return 4 if self.is_quad else 1

    @property
    def data_offset(self) -> int:
        """Bytes of the frame header with its padding."""
        return 256 + 128 * self.chips

    @property
    def sig_shape(self) -> tuple[int, int]:
        """(y, x) of the decoded image."""
        side = (2 * CHIP if self.is_quad else CHIP) + (GAP if self.has_gap else 0)
        return side, side

    @property
    def header_size(self) -> tuple[int, int]:
        """(x, y) as the frame header states them: the raw geometry for R64, with x doubled at 24 bits."""
        if not self.is_raw:
            height, width = self.sig_shape
            return width, height
        width = CHIP * self.chips
        return (2 * width if self.depth == 24 else width), CHIP

    @property
    def dtype(self) -> np.dtype[Any]:
        """Native type of the decoded pixels."""
        if self.is_raw:
            return np.dtype({1: "u1", 6: "u1", 12: "u2", 24: "u4"}[self.depth])
        return np.dtype({"U08": "u1", "U16": "u2", "U32": "u4"}[self.pixel_type])

    @property
    def largest_value(self) -> int:
        """Raw pixels hold what the counter can; processed ones (gap filled, corrected) what the type can."""
        return (1 << self.depth) - 1 if self.is_raw else int(np.iinfo(self.dtype).max)

    def encode(self, images: Images) -> Bytes:
        """Payloads (frames, bytes) of images (frames, y, x)."""
        frames = images.shape[0]
        if not self.is_raw:
            big_endian = images.astype(self.dtype.newbyteorder(">"))
            return big_endian.reshape(frames, -1).view(np.uint8)
        rows = _quad_to_raw_rows(images) if self.is_quad else images
        if self.depth == 24:
            planes = [_encode_groups(rows >> 12, 12), _encode_groups(rows & 0xFFF, 12)]
            return np.concatenate(planes, axis=1)
        return _encode_groups(rows, self.depth)


def _quad_to_raw_rows(images: Images) -> Images:
    """Raw rows (frames, 256, 1024): chips 4, 3, 2, 1 from left to right, 4 and 3 turned by 180 degrees."""
    top, bottom = images[:, :CHIP], images[:, -CHIP:]
    turned = bottom[:, ::-1, ::-1]
    return np.concatenate([turned[:, :, :CHIP], turned[:, :, -CHIP:], top[:, :, -CHIP:], top[:, :, :CHIP]], axis=2)


def _encode_groups(rows: Images, depth: int) -> Bytes:
    """Pixels in 8-byte groups whose pixel order is reversed: 64, 8 or 4 pixels at 1, 6 or 12 bits."""
    frames = rows.shape[0]
    if depth == 1:
        # Pixel i is bit i of a big-endian 64-bit word.
        bits = rows.astype(np.uint8).reshape(frames, -1, 64)
        return np.packbits(bits, axis=2, bitorder="little")[:, :, ::-1].reshape(frames, -1)
    if depth == 6:
        return rows.astype(np.uint8).reshape(frames, -1, 8)[:, :, ::-1].reshape(frames, -1)
    if depth == 12:
        words = np.ascontiguousarray(rows.astype(">u2").reshape(frames, -1, 4)[:, :, ::-1])
        return words.reshape(frames, -1).view(np.uint8)
    raise ValueError(f"no raw encoding for a counter depth of {depth} bits")


LAYOUTS = ("1x1", "2x2", "2x2G")

LIVE_FORMATS = tuple(
    MerlinFormat(pixel_type, depth, layout)
    for layout in LAYOUTS
    for pixel_type, depth in (("U08", 6), ("U16", 12), ("U32", 24), ("R64", 1), ("R64", 6), ("R64", 12))
)
"""Formats that LiberTEM-live 0.3.0 reads from a detector."""

RAW_24_BIT = tuple(MerlinFormat("R64", 24, layout) for layout in LAYOUTS)
"""Read by nobody live, and by LiberTEM's file reader for the first frame of a single-chip file alone."""
