"""Frames read where the server holds them, on the server's own machine.

The server holds them for a worker that it hears of. Nothing keeps it from filling the memory anew under one that stood
still for so long that it was given up. So each slot has a counter that changes before the slot does, and frames count
as read only when it has not.
"""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from .._core import messages
from .._wire import stemwire_pb2 as pb
from ..errors import ProtocolError
from ..frames import FrameFormat, Tile

_COUNTER_BYTES = 8
_NONE = memoryview(b"")


class FramesGone(Exception):
    """The server has put other frames where these were."""


class FrameMemory:
    """The server's memory for frames, to be read only."""

    def __init__(self, told: pb.FrameMemory) -> None:
        """Raises `OSError` or `ProtocolError` when it cannot be mapped, or is not the server's."""
        descriptor = os.open(told.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if (found.st_ino, found.st_size) != (told.inode, told.bytes):
                raise ProtocolError(f"{told.path} is not the memory of the server, which is in another container")
            if told.slots * _COUNTER_BYTES > told.bytes:
                raise ProtocolError(f"a memory of {told.bytes} bytes for {told.slots} slots")
            self._bytes = memoryview(mmap.mmap(descriptor, found.st_size, access=mmap.ACCESS_READ))
        finally:
            os.close(descriptor)
        self._fillings = self._bytes[: told.slots * _COUNTER_BYTES].cast("Q")

    def tiles(self, first: pb.Tile, places: Sequence[pb.FramesInMemory], formats: messages.FormatCache) -> list[Tile]:
        """Raises `ProtocolError` for places outside of the memory."""
        acquisition = messages.acquisition_id(first.acquisition)
        form = formats.get(first.format)
        nav_shape = tuple(first.nav_shape)
        return [self._tile(acquisition, first, form, nav_shape, each) for each in places]

    def _tile(
        self,
        acquisition: uuid.UUID,
        first: pb.Tile,
        form: FrameFormat,
        nav_shape: tuple[int, ...],
        place: pb.FramesInMemory,
    ) -> Tile:
        size = place.count * first.stride
        if not (0 < size <= len(self._bytes) - place.offset and place.slot < len(self._fillings)):
            raise ProtocolError(f"{place.count} frames at {place.offset} of a memory of {len(self._bytes)} bytes")
        made = LentTile(
            acquisition,
            first.generation,
            place.first_position,
            place.count,
            first.partition,
            form,
            nav_shape,
            first.stride,
            first.header_offset,
            first.pixel_offset,
            first.received_at,
            self._bytes[place.offset : place.offset + size],
            True,
            self._fillings,
            place.slot,
            place.filling,
        )
        made.check()
        return made


@dataclass(frozen=True, eq=False)
class LentTile(Tile):
    """A tile in the server's memory. What was read of it is what it says only if `is_intact` afterwards."""

    fillings: memoryview = _NONE
    slot: int = 0
    filling: int = 0

    @property
    def is_intact(self) -> bool:
        return bool(self.fillings[self.slot] == self.filling)
