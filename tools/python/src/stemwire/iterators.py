"""What the blocking face iterates over: tiles, frames, states of results, and scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy.typing as npt
from typing_extensions import Self

from ._core.fetching import Unavailable
from ._io.facts import TileFacts
from ._io.scanning import ScanStream
from ._io.steps import or_stop, step
from ._io.tiles import FetchStream, TileStream
from ._io.waiting import run
from .frames import Tile
from .plot import LivePlot
from .progress import ShownStates
from .results import Results


class Closing:
    """Closes itself: at the end of a `with` block, when it is exhausted, when it fails, and when it is forgotten."""

    owner: object = None
    """The connection, which lives as long as what was made with it."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        # Half-made objects, and interpreters that shut down, have less to close.
        with suppress(Exception):
            self.close()


class TileIterator(Closing, TileFacts, Iterator[Tile]):
    """Tiles as they come; each scan position once, not always in order. Use it from one thread."""

    def __init__(self, stream: TileStream) -> None:
        self._stream = stream

    def __next__(self) -> Tile:
        return or_stop(run(step(self._stream)), StopIteration)

    def close(self) -> None:
        self._stream.close()


class FrameIterator(Closing, Iterator[tuple[int, npt.NDArray[Any]]]):
    """Pairs of flat scan position and frame (y, x)."""

    def __init__(self, stream: TileStream) -> None:
        self.tiles = TileIterator(stream)
        self._frames: Iterator[tuple[int, npt.NDArray[Any]]] = iter(())

    def __next__(self) -> tuple[int, npt.NDArray[Any]]:
        while True:
            frame = next(self._frames, None)
            if frame is not None:
                return frame
            self._frames = iter(next(self.tiles))

    def close(self) -> None:
        self.tiles.close()


class FetchIterator(Closing, Iterator[Tile]):
    """Tiles that the server still holds, in ascending order; at the end, `unavailable` is what it could not give."""

    def __init__(self, stream: FetchStream) -> None:
        self._stream = stream

    def __next__(self) -> Tile:
        return or_stop(run(step(self._stream)), StopIteration)

    @property
    def unavailable(self) -> tuple[Unavailable, ...]:
        return tuple(self._stream.unavailable)

    def close(self) -> None:
        self._stream.close()


class UpdateIterator(Closing, Iterator[Results]):
    """States of results: always the newest, the last one final."""

    def __init__(self, stream: ShownStates) -> None:
        self._stream = stream

    def __next__(self) -> Results:
        return or_stop(run(step(self._stream)), StopIteration)

    def close(self) -> None:
        self._stream.leave()


class Scan(Closing):
    """A run on one acquisition that was started by `Connection.scan`; leaving the `with` block ends the run."""

    def __init__(self, stream: ScanStream) -> None:
        self._stream = stream

    @property
    def run(self) -> str:
        """The run's id."""
        return self._stream.run

    def updates(
        self, max_rate: float | None = None, progress: bool = False, plots: Iterable[LivePlot] = ()
    ) -> UpdateIterator:
        """States of the results as the scan goes on, the last one final; may be left early and taken up again."""
        self._stream.limit_rate(max_rate)
        updates = UpdateIterator(ShownStates(self._stream, progress, plots))
        updates.owner = self
        return updates

    def __iter__(self) -> Iterator[Results]:
        return self.updates()

    @property
    def result(self) -> Results:
        """The final results; waits for the end of the acquisition."""
        return run(self._stream.finish())

    def close(self) -> None:
        run(self._stream.close())
