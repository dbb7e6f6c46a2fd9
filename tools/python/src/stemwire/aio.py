"""The asyncio face: the same words as the blocking one, with `await`, `async for` and `async with`.

>>> async with await stemwire.aio.connect("tcp://merlin-server:7400") as server:
...     async with await server.tiles() as tiles:
...         async for tile in tiles:
...             print(tile.positions)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Concatenate, TypeVar

import numpy.typing as npt
from typing_extensions import ParamSpec, Self

from . import streams
from ._core.fetching import Unavailable
from ._io.client import Client, TokenLike
from ._io.facts import TileFacts
from ._io.scanning import ScanStream
from ._io.steps import or_stop, step
from ._io.tiles import FetchStream, TileStream
from ._io.waiting import AsyncWaiter
from .frames import Tile
from .page import viewer_page
from .plot import LivePlot
from .progress import ShownStates
from .requests import DEFAULT_TIMEOUT, Requests
from .results import Results

Parameters = ParamSpec("Parameters")
Stream = TypeVar("Stream")
Made = TypeVar("Made")


class _AsyncClosing:
    async def close(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


class AsyncTileIterator(_AsyncClosing, TileFacts, AsyncIterator[Tile]):
    """Tiles as they come; each scan position once, not always in order."""

    def __init__(self, stream: TileStream) -> None:
        self._stream = stream

    async def __anext__(self) -> Tile:
        return or_stop(await step(self._stream), StopAsyncIteration)

    async def close(self) -> None:
        self._stream.close()


class AsyncFrameIterator(_AsyncClosing, AsyncIterator[tuple[int, npt.NDArray[Any]]]):
    """Pairs of flat scan position and frame (y, x)."""

    def __init__(self, stream: TileStream) -> None:
        self.tiles = AsyncTileIterator(stream)
        self._frames = iter(())  # type: Any

    async def __anext__(self) -> tuple[int, npt.NDArray[Any]]:
        while True:
            frame: tuple[int, npt.NDArray[Any]] | None = next(self._frames, None)
            if frame is not None:
                return frame
            self._frames = iter(await self.tiles.__anext__())

    async def close(self) -> None:
        await self.tiles.close()


class AsyncFetchIterator(_AsyncClosing, AsyncIterator[Tile]):
    """Tiles that the server still holds, in ascending order; at the end, `unavailable` is what it could not give."""

    def __init__(self, stream: FetchStream) -> None:
        self._stream = stream

    async def __anext__(self) -> Tile:
        return or_stop(await step(self._stream), StopAsyncIteration)

    @property
    def unavailable(self) -> tuple[Unavailable, ...]:
        return tuple(self._stream.unavailable)

    async def close(self) -> None:
        self._stream.close()


class AsyncUpdateIterator(_AsyncClosing, AsyncIterator[Results]):
    """States of results: always the newest, the last one final."""

    def __init__(self, stream: ShownStates) -> None:
        self._stream = stream

    async def __anext__(self) -> Results:
        return or_stop(await step(self._stream), StopAsyncIteration)

    async def close(self) -> None:
        self._stream.leave()


class AsyncScan(_AsyncClosing):
    """A run on one acquisition; leaving the `async with` block ends the run."""

    def __init__(self, stream: ScanStream) -> None:
        self._stream = stream

    @property
    def run(self) -> str:
        """The run's id."""
        return self._stream.run

    def updates(
        self, max_rate: float | None = None, progress: bool = False, plots: Iterable[LivePlot] = ()
    ) -> AsyncUpdateIterator:
        """States of the results as the scan goes on, the last one final."""
        self._stream.limit_rate(max_rate)
        return AsyncUpdateIterator(ShownStates(self._stream, progress, plots))

    async def result(self) -> Results:
        """The final results; waits for the end of the acquisition."""
        return await self._stream.finish()

    async def close(self) -> None:
        await self._stream.close()


def opened(
    body: Callable[Concatenate[Client, Parameters], Coroutine[Any, Any, Stream]],
    make: Callable[[Stream], Made],
    about: str = "",
) -> Callable[Concatenate[AsyncConnection, Parameters], Coroutine[Any, Any, Made]]:
    """A method that opens a stream."""

    async def call(self: AsyncConnection, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Made:
        return make(await body(self._client, *args, **kwargs))

    return streams.presented(call, body, make.__name__, about)


def finished(
    body: Callable[Concatenate[Client, Parameters], Coroutine[Any, Any, Results]],
) -> Callable[Concatenate[AsyncConnection, Parameters], Coroutine[Any, Any, Results]]:
    """A method that returns when all is done."""

    async def call(self: AsyncConnection, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Results:
        return await body(self._client, *args, **kwargs)

    return streams.presented(call, body, "Results")


class AsyncConnection(Requests, _AsyncClosing):
    """A connection to an acquisition server for one event loop; `stemwire.aio.connect` makes one. See `Connection`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __repr__(self) -> str:
        state = "closed" if self._client.closed else self._client.server
        return f"<stemwire.aio.AsyncConnection to {self._client.address}, {state}>"

    @property
    def udfs(self) -> tuple[str, ...]:
        """Names of the UDFs that the server knows."""
        return self._client.directory.udfs

    tiles = opened(streams.tiles, AsyncTileIterator)
    frames = opened(streams.tiles, AsyncFrameIterator, "Pairs of flat scan position and frame (y, x); as `tiles`.")
    fetch = opened(streams.fetch, AsyncFetchIterator)
    updates = opened(streams.updates, AsyncUpdateIterator)
    scan = opened(streams.scan, AsyncScan)
    run = finished(streams.run)

    async def show(self, port: int = 7480, *, height: int = 720, timeout: float = 5.0) -> Any:
        """The viewer's page, to be shown in a notebook; `port` is the server's `--http-port`."""
        return await asyncio.to_thread(viewer_page, self._client.address.host, port, height, timeout)

    async def close(self) -> None:
        self._client.close()


async def connect(
    address: str = "tcp://127.0.0.1:7400",
    *,
    timeout: float = DEFAULT_TIMEOUT,
    wait: bool = False,
    verify: bool | None = None,
    token: TokenLike | None = None,
) -> AsyncConnection:
    """Connects as `stemwire.connect` does."""
    client = Client(address, AsyncWaiter(), timeout, verify, token)
    await client.open(wait)
    return AsyncConnection(client)
