"""The asyncio face: the same words as the blocking one, with `await`, `async for` and `async with`.

>>> async with await stemwire.aio.connect("tcp://merlin-server:7400") as server:
...     async with await server.tiles() as tiles:
...         async for tile in tiles:
...             print(tile.positions)
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy.typing as npt
from typing_extensions import Self

from ._core.fetching import Unavailable
from ._io.client import Client, TokenLike
from ._io.facts import TileFacts
from ._io.scanning import ScanStream
from ._io.steps import or_stop, step
from ._io.tiles import FetchStream, TileStream
from ._io.updates import UpdateStream
from ._io.waiting import AsyncWaiter
from .connection import DEFAULT_MEMORY, DEFAULT_SILENCE, DEFAULT_TIMEOUT
from .frames import Tile
from .inputs import Corrections, Inputs
from .requests import Requests
from .results import Results
from .udfs import UDFLike, as_udfs


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

    def __init__(self, tiles: AsyncTileIterator) -> None:
        self.tiles = tiles
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

    def __init__(self, stream: UpdateStream | ScanStream) -> None:
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

    def updates(self, max_rate: float | None = None) -> AsyncUpdateIterator:
        """States of the results as the scan goes on, the last one final."""
        self._stream.stream.limit_rate(max_rate)
        return AsyncUpdateIterator(self._stream)

    async def result(self) -> Results:
        """The final results; waits for the end of the acquisition."""
        return await self._stream.finish()

    async def close(self) -> None:
        await self._stream.close()


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

    async def tiles(
        self,
        *,
        acquisitions: int | None = 1,
        repair: bool = True,
        timeout: float | None = DEFAULT_SILENCE,
        memory: int = DEFAULT_MEMORY,
    ) -> AsyncTileIterator:
        stream = TileStream(self._client, acquisitions, repair, timeout, memory)
        await stream.open()
        return AsyncTileIterator(stream)

    async def frames(
        self,
        *,
        acquisitions: int | None = 1,
        repair: bool = True,
        timeout: float | None = DEFAULT_SILENCE,
        memory: int = DEFAULT_MEMORY,
    ) -> AsyncFrameIterator:
        tiles = await self.tiles(acquisitions=acquisitions, repair=repair, timeout=timeout, memory=memory)
        return AsyncFrameIterator(tiles)

    async def fetch(
        self,
        first: int = 0,
        count: int | None = None,
        *,
        acquisition: uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> AsyncFetchIterator:
        stream = FetchStream(self._client, acquisition, first, count, timeout)
        await stream.open()
        return AsyncFetchIterator(stream)

    async def updates(
        self,
        run: str = "default",
        *,
        acquisitions: int | None = 1,
        max_rate: float | None = None,
        timeout: float | None = DEFAULT_SILENCE,
    ) -> AsyncUpdateIterator:
        stream = UpdateStream(self._client, run, acquisitions, max_rate=max_rate, timeout=timeout)
        await stream.open()
        return AsyncUpdateIterator(stream)

    async def scan(
        self,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
        *,
        nav_shape: Sequence[int] | None = None,
        frames: int | None = None,
        trigger: str | None = "soft",
        arm: bool = True,
        join_current: bool = False,
        roi: npt.ArrayLike | None = None,
        corrections: Corrections | None = None,
        timeout: float | None = DEFAULT_SILENCE,
    ) -> AsyncScan:
        chosen = as_udfs(udfs)
        stream = ScanStream(
            self._client,
            chosen,
            nav_shape=nav_shape,
            frames=frames,
            trigger=trigger,
            arm=arm,
            join_current=join_current,
            timeout=timeout,
            inputs=Inputs.of(chosen, roi, corrections),
        )
        await stream.open()
        return AsyncScan(stream)

    async def run(
        self,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
        *,
        nav_shape: Sequence[int] | None = None,
        frames: int | None = None,
        trigger: str | None = "soft",
        arm: bool = True,
        join_current: bool = False,
        roi: npt.ArrayLike | None = None,
        corrections: Corrections | None = None,
        timeout: float | None = DEFAULT_SILENCE,
    ) -> Results:
        scan = await self.scan(
            udfs,
            nav_shape=nav_shape,
            frames=frames,
            trigger=trigger,
            arm=arm,
            join_current=join_current,
            roi=roi,
            corrections=corrections,
            timeout=timeout,
        )
        async with scan:
            return await scan.result()

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
