"""Frames of the detector: their format, and tiles of them as numpy arrays."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ._core.raw import check_raw, decode_raw
from .errors import DecodeError, ProtocolError

_DIRECT: dict[str, np.dtype[Any]] = {
    "U08": np.dtype(np.uint8),
    "U16": np.dtype(">u2"),
    "U32": np.dtype(">u4"),
    "U64": np.dtype(">u8"),
}


@dataclass(frozen=True)
class FrameFormat:
    """How the bytes of a frame are to be read; the same for all frames of an acquisition."""

    pixel_type: str
    """As the detector writes it: U01, U08, U16, U32, U64, or R64 (raw chip stream)."""
    counter_depth: int
    """Bits of a counter: 1, 6, 12, 24; 0 when unknown."""
    layout: str
    """Chips of the sensor: 1x1, 2x2, 2x2G (with gap), Nx1, …"""
    header_width: int
    header_height: int
    chip_count: int
    data_offset: int
    """Bytes of the frame header in front of the pixels."""
    payload_bytes: int
    """Bytes of the pixels as sent."""
    sig_shape: tuple[int, int]
    """Shape of the decoded image, (height, width)."""
    dtype: np.dtype[Any]
    """Of the decoded image, in this machine's byte order."""

    @property
    def is_raw(self) -> bool:
        """The frames have to be decoded; others are viewed where they lie."""
        return self.sent_dtype is None

    @cached_property
    def sent_dtype(self) -> np.dtype[Any] | None:
        """Of pixels that need no decoding, as the detector sends them: big-endian; None for raw frames."""
        if self.pixel_type == "U01" and self.payload_bytes == self.sig_shape[0] * self.sig_shape[1]:
            return np.dtype(np.uint8)
        return _DIRECT.get(self.pixel_type)

    def check(self) -> None:
        """Raises `DecodeError` when frames of this format cannot be read, or their size is not what it says."""
        direct = self.sent_dtype
        height, width = self.sig_shape
        if direct is not None:
            if height * width * direct.itemsize != self.payload_bytes:
                raise DecodeError(
                    f"{self.pixel_type} frames of {height} × {width} pixels have "
                    f"{height * width * direct.itemsize} bytes, these have {self.payload_bytes}"
                )
        elif self.pixel_type == "R64":
            check_raw(self.counter_depth, self.layout, self.sig_shape, self.payload_bytes)
        else:
            raise DecodeError(f"frames of pixel type {self.pixel_type!r} cannot be read by this version")

    @cached_property
    def _checked(self) -> bool:
        self.check()
        return True


@dataclass(frozen=True, eq=False)
class Tile:
    """A stack of frames of consecutive scan positions.

    It holds the memory of the message that it came in; so do all arrays that view it. Copy what is to be kept for long.
    """

    acquisition: uuid.UUID
    generation: int
    """Counts the acquisitions of one server session, from 1."""
    first_position: int
    """Flat scan position of the first frame, slow axis first."""
    count: int
    partition: int
    format: FrameFormat
    nav_shape: tuple[int, ...]
    stride: int
    header_offset: int
    pixel_offset: int
    received_at: int
    """When its first frame was complete, by the server's clock, nanoseconds since 1970."""
    payload: memoryview
    """The frame messages as the detector sent them."""
    fetched: bool = False
    """Came by FETCH, not by the live stream."""

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        how = "fetched" if self.fetched else "live"
        return f"<Tile {self.first_position} … {self.first_position + self.count - 1} of {self.nav_shape}, {how}>"

    @property
    def positions(self) -> range:
        """Flat scan positions of the frames."""
        return range(self.first_position, self.first_position + self.count)

    @property
    def sig_shape(self) -> tuple[int, int]:
        return self.format.sig_shape

    @cached_property
    def frames(self) -> npt.NDArray[Any]:
        """The frames (frame, y, x), read-only, rows in the detector's order.

        U08 and the big-endian U16, U32 and U64 are views of the message, without a copy: their dtype is big-endian, and
        numpy computes with them as with any other. Raw frames are decoded, once.
        """
        direct = self.format.sent_dtype
        assert self.format._checked
        if direct is None:
            array = decode_raw(self._bytes, self.format.counter_depth, self.format.layout, self.format.sig_shape)
        else:
            height, width = self.format.sig_shape
            array = np.ndarray(
                (self.count, height, width),
                direct,
                self.payload,
                self.pixel_offset,
                (self.stride, width * direct.itemsize, direct.itemsize),
            )
        array.flags.writeable = False
        return array

    def decoded(self, dtype: npt.DTypeLike | None = None, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """The frames as a contiguous array of their own in this machine's byte order, or written into `out`."""
        if out is not None:
            np.copyto(out, self.frames, casting="same_kind")
            return out
        wanted = self.format.dtype if dtype is None else np.dtype(dtype)
        return np.array(self.frames, dtype=wanted, order="C", copy=True)

    def header(self, index: int) -> bytes:
        """The frame header (`MQ1,…`) of frame `index` as the detector sent it, without its padding."""
        if not -self.count <= index < self.count:
            raise IndexError(f"frame {index} of a tile of {self.count}")
        start = (index % self.count) * self.stride
        return bytes(self.payload[start + self.header_offset : start + self.pixel_offset]).rstrip(b"\0")

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Pairs of flat scan position and frame (y, x)."""
        return zip(self.positions, self.frames, strict=True)

    def part(self, positions: range) -> Tile:
        """The tile's frames at `positions`, which has to lie within it; shares its memory."""
        start = positions.start - self.first_position
        if positions.step != 1 or start < 0 or positions.stop > self.first_position + self.count or not positions:
            raise ValueError(f"{positions} is not within {self!r}")
        if len(positions) == self.count:
            return self
        return replace(
            self,
            first_position=positions.start,
            count=len(positions),
            payload=self.payload[start * self.stride :],
        )

    @property
    def _bytes(self) -> npt.NDArray[np.uint8]:
        """The pixels' bytes (frame, byte), a view."""
        shape = (self.count, self.format.payload_bytes)
        found: npt.NDArray[np.uint8] = np.ndarray(shape, np.uint8, self.payload, self.pixel_offset, (self.stride, 1))
        return found

    def check(self) -> None:
        """Raises `ProtocolError` when its offsets do not fit its bytes."""
        pixels = self.format.payload_bytes
        if not (self.header_offset <= self.pixel_offset and self.pixel_offset + pixels <= self.stride):
            raise ProtocolError(
                f"a tile's frames do not fit: header at {self.header_offset}, {pixels} bytes of pixels at "
                f"{self.pixel_offset}, {self.stride} bytes from one frame to the next"
            )
        needed = (self.count - 1) * self.stride + self.pixel_offset + pixels
        if self.count < 1 or needed > len(self.payload):
            raise ProtocolError(f"a tile of {self.count} frames needs {needed} bytes and has {len(self.payload)}")
