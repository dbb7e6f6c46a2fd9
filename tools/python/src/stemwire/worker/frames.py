"""The frames of one partition, in the order of their positions, whatever the order in which they came."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..frames import Tile
from .memory import FramesGone, LentTile
from .plans import Array, Corrections, Meta
from .swapping import read_frames


def runs_of(mask: npt.NDArray[np.bool_], first: int = 0) -> list[range]:
    """Where a mask is True: ranges of positions, the first of which is `first`."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [range(first + int(low), first + int(high)) for low, high in edges.reshape(-1, 2)]


class PartitionFrames:
    """Frames of the positions that came and are to be worked on."""

    def __init__(self, meta: Meta, partition: int, tiles: Sequence[Tile]) -> None:
        self.meta = meta
        self.partition = partition
        self.span = meta.partition(partition)
        self._tiles = sorted(tiles, key=lambda tile: tile.first_position)
        self._starts = [tile.first_position for tile in self._tiles]
        here = np.zeros(len(self.span), np.bool_)
        for tile in self._tiles:
            part = slice(tile.first_position - self.span.start, tile.first_position - self.span.start + tile.count)
            if part.start < 0 or part.stop > len(here) or here[part].any():
                raise ValueError(f"frames {tile.positions} are not the partition's {self.span}, or came twice")
            here[part] = True
        roi = meta.roi
        self._selected = np.ones_like(here) if roi is None else roi[self.span.start : self.span.stop]
        self.here = here & self._selected
        self.positions = runs_of(self.here, self.span.start)
        self.count = int(np.count_nonzero(self.here))

    @property
    def is_whole(self) -> bool:
        """No frame of the partition is missing, and none is left out."""
        return self.count == len(self.span)

    def stretches(self, depth: int) -> Iterator[range]:
        """Tiles of fixed borders: `depth` positions from the partition's first one on, cut where frames are missing."""
        for run in self.positions:
            first = run.start
            while first < run.stop:
                border = self.span.start + ((first - self.span.start) // depth + 1) * depth
                yield range(first, min(border, run.stop))
                first = min(border, run.stop)

    def stacks(self, depth: int) -> Iterator[tuple[int, list[range]]]:
        """Tiles as LiberTEM makes them: `depth` selected positions from the partition's first one on, whatever lies
        between them, cut where frames are missing. Each as the number of selected positions before it, and its runs."""
        selected = self._selected
        arrived = self.here[selected]
        places = np.flatnonzero(selected) + self.span.start
        for run in runs_of(arrived):
            first = run.start
            while first < run.stop:
                stop = min((first // depth + 1) * depth, run.stop)
                here = places[first:stop]
                cuts = np.flatnonzero(np.diff(here) != 1) + 1
                yield first, [range(int(part[0]), int(part[-1]) + 1) for part in np.split(here, cuts)]
                first = stop

    def read(self, positions: range, out: Array, part: tuple[slice, ...] = ()) -> None:
        """Copies the frames of consecutive positions, or a part (rows, columns) of each, in the type of `out`.

        Raises `FramesGone` for frames in the server's memory that were let go; `out` is of no use then.
        """
        index = bisect_right(self._starts, positions.start) - 1
        at = positions.start
        while at < positions.stop:
            tile = self._tiles[index]
            stop = min(positions.stop, tile.first_position + tile.count)
            place = slice(at - positions.start, stop - positions.start)
            read_frames(tile, range(at - tile.first_position, stop - tile.first_position), part, out[place])
            if isinstance(tile, LentTile) and not tile.is_intact:
                raise FramesGone(f"the server has other frames where {tile!r} was")
            at = stop
            index += 1


class Corrector:
    """Corrects frames as the server does: in float64, rounded once."""

    def __init__(self, corrections: Corrections, sig_shape: tuple[int, int]) -> None:
        self._dark = None if corrections.dark is None else corrections.dark.astype(np.float64)
        self._gain = None if corrections.gain is None else corrections.gain.astype(np.float64)
        self._repairs: list[tuple[tuple[int, int], Array, Array]] = []
        if corrections.excluded is None:
            return
        for y, x in np.argwhere(corrections.excluded):
            rows, columns = np.mgrid[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].reshape(2, -1)
            inside = (rows < sig_shape[0]) & (columns < sig_shape[1])
            rows, columns = rows[inside], columns[inside]
            good = ~corrections.excluded[rows, columns]
            if good.any():
                self._repairs.append(((int(y), int(x)), rows[good], columns[good]))
            elif not corrections.keeps_isolated:
                raise ValueError(f"the excluded pixel ({y}, {x}) has no good neighbour")

    def apply(self, frames: Array) -> None:
        """In place, frames (frame, y, x)."""
        if self._dark is not None or self._gain is not None:
            exact = frames.astype(np.float64)
            if self._dark is not None:
                exact -= self._dark
            if self._gain is not None:
                exact *= self._gain
            frames[...] = exact
        for (y, x), rows, columns in self._repairs:
            sums: Any = np.zeros(len(frames), np.float64)
            for row, column in zip(rows, columns, strict=True):
                sums += frames[:, row, column]
            frames[:, y, x] = sums / len(rows)
