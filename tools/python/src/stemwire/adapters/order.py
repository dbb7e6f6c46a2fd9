"""Frames of one acquisition in the order of the scan."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator

from ..frames import Tile


class FrameOrder:
    """Keeps tiles back until all earlier positions have come or are known not to come.

    What waits is limited: past the limit the oldest gap is given up, and what comes of it later is dropped and counted.
    """

    def __init__(self, limit: int) -> None:
        self.next = 0
        self.late = 0
        self._limit = limit
        self._waiting: list[tuple[int, int, Tile]] = []
        self._absent: list[range] = []
        self._held = 0
        self._count = 0

    def add(self, tile: Tile) -> Iterator[Tile]:
        """The tiles that are due now."""
        if tile.first_position < self.next:
            self.late += tile.count
            return
        self._count += 1
        insort(self._waiting, (tile.first_position, self._count, tile))
        self._held += len(tile.payload)
        yield from self._advance()
        while self._held > self._limit and self._waiting:
            self.next = self._waiting[0][0]
            yield from self._advance()

    def skip(self, positions: Iterable[range]) -> Iterator[Tile]:
        """Positions that will not come; the tiles that are due now."""
        self._absent = [each for each in positions if each.stop > self.next]
        yield from self._advance()

    def finish(self) -> Iterator[Tile]:
        """No more will come: all that waits."""
        waiting, self._waiting = self._waiting, []
        for _, _, tile in waiting:
            yield tile

    def _advance(self) -> Iterator[Tile]:
        while True:
            if self._waiting and self._waiting[0][0] <= self.next:
                first, _, tile = self._waiting.pop(0)
                self._held -= len(tile.payload)
                self.next = first + tile.count
                yield tile
                continue
            gap = next((each for each in self._absent if self.next in each), None)
            if gap is None:
                return
            self.next = gap.stop
