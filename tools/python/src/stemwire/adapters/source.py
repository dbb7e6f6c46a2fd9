"""What adapters hand on: acquisitions one after the other, every frame that the server can give, in the order of the
scan."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .._core.following import Following
from .._io.client import Client, TokenLike
from .._io.tiles import TileStream
from .._io.waiting import BlockingWaiter, run
from ..errors import DeadlineExceeded
from ..frames import Tile
from ..status import Start
from .order import FrameOrder

_LOOK_SECONDS = 0.1
_HELD_BYTES = 256 << 20
_QUEUE_BYTES = 256 << 20


@dataclass(frozen=True)
class Begin:
    start: Start


@dataclass(frozen=True)
class Frames:
    start: Start
    tile: Tile


@dataclass(frozen=True)
class End:
    start: Start
    reason: str
    frames: int
    absent: int
    """Positions of the scan that were not handed on."""


Event: TypeAlias = Begin | Frames | End


class FrameSource:
    """A lossless subscription. `stop` may be called from any thread; all else belongs to one."""

    def __init__(self, address: str, token: TokenLike | None = None, timeout: float = 5.0) -> None:
        self._client = Client(address, BlockingWaiter(), timeout, None, token)
        run(self._client.open(wait=True))
        self._stopped = threading.Event()

    @property
    def name(self) -> str:
        return self._client.directory.source

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._client.close()

    def events(self) -> Iterator[Event]:
        """Until `stop`. Raises `ServerLost` and other errors of the connection."""
        stream = TileStream(self._client, None, True, _LOOK_SECONDS, _QUEUE_BYTES)
        try:
            run(stream.open())
            early: list[Tile] = []
            generation = stream.follower.first_generation
            while not self._stopped.is_set():
                known = [each for each in stream.follower.followed if each >= generation]
                if not known:
                    early += self._next(stream)
                    continue
                generation = min(known)
                following = stream.follower.followed[generation]
                yield from self._follow(stream, following, early)
                early = [tile for tile in early if tile.generation > generation]
                generation += 1
        finally:
            stream.close()

    def _follow(self, stream: TileStream, following: Following, early: list[Tile]) -> Iterator[Event]:
        start = run(stream.start(following))
        if start is None:
            return
        yield Begin(start)
        order = FrameOrder(_HELD_BYTES)
        count = 0
        tiles = [tile for tile in early if tile.generation == following.generation]
        while not self._stopped.is_set():
            due: list[Tile] = []
            for tile in tiles:
                if tile.generation == following.generation:
                    due += order.add(tile)
                else:
                    early.append(tile)
            due += order.skip([*following.missing, *following.released])
            is_over = following.done
            if is_over:
                due += order.finish()
            for tile in due:
                count += tile.count
                yield Frames(start, tile)
            if is_over:
                break
            tiles = self._next(stream)
        reason = "" if following.end is None else following.end.reason
        yield End(start, reason, count, max(0, following.size - count))

    def _next(self, stream: TileStream) -> list[Tile]:
        try:
            tile = run(stream.next())
        except DeadlineExceeded:
            return []
        return [] if tile is None else [tile]
