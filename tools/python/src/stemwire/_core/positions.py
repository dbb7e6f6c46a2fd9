"""Sets of scan positions, as ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class PositionSet:
    """Positions, kept as disjoint ranges in ascending order: cheap when they come in long runs, in any order."""

    __slots__ = ("_count", "_starts", "_stops")

    def __init__(self, ranges: Iterable[range] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._count = 0
        for each in ranges:
            self.add(each.start, each.stop)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[range]:
        return map(range, self._starts, self._stops)

    def __contains__(self, position: int) -> bool:
        index = bisect_right(self._starts, position) - 1
        return index >= 0 and position < self._stops[index]

    def __repr__(self) -> str:
        return f"PositionSet({list(self)})"

    @property
    def stop(self) -> int:
        """The position behind the last one; 0 of an empty set."""
        return self._stops[-1] if self._stops else 0

    def add(self, start: int, stop: int) -> list[range]:
        """Takes positions in; gives those that were not in it before."""
        if start >= stop:
            return []
        if self._stops and start == self._stops[-1]:
            self._stops[-1] = stop
            self._count += stop - start
            return [range(start, stop)]
        if not self._stops or start > self._stops[-1]:
            self._starts.append(start)
            self._stops.append(stop)
            self._count += stop - start
            return [range(start, stop)]
        fresh = self.absent(start, stop)
        low = bisect_left(self._stops, start)
        high = bisect_right(self._starts, stop)
        if low < high:
            start = min(start, self._starts[low])
            stop = max(stop, self._stops[high - 1])
        self._starts[low:high] = [start]
        self._stops[low:high] = [stop]
        self._count += sum(map(len, fresh))
        return fresh

    def absent(self, start: int, stop: int) -> list[range]:
        """The ranges within start … stop − 1 that are not in the set."""
        holes: list[range] = []
        index = bisect_right(self._stops, start)
        while start < stop:
            if index == len(self._starts) or self._starts[index] >= stop:
                holes.append(range(start, stop))
                break
            if self._starts[index] > start:
                holes.append(range(start, self._starts[index]))
            start = self._stops[index]
            index += 1
        return holes
