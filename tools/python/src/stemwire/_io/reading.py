"""Reads blocks of frames by FETCH, one ahead; waits for frames that the detector has still to send."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .._core.fetching import Unavailable
from ..errors import DeadlineExceeded, NotFound
from ..frames import Tile
from .client import Client
from .lanes import now
from .tiles import FetchLane

_AHEAD = 2
_AGAIN_SECONDS = 0.1


@dataclass
class Block:
    """Frames of some ranges of positions."""

    positions: Sequence[range]
    tiles: list[Tile] = field(default_factory=list)
    unavailable: list[Unavailable] = field(default_factory=list)
    """Missing or released; never pending."""
    asked: list[range] = field(default_factory=list)


class BlockReader:
    """Gives blocks in the order in which they were asked for."""

    def __init__(
        self, client: Client, acquisition: uuid.UUID, blocks: Iterable[Sequence[range]], timeout: float
    ) -> None:
        self._client = client
        self._acquisition = acquisition
        self._to_ask = deque(Block(each) for each in blocks)
        self._open: deque[Block] = deque()
        self._pending: list[tuple[Block, range]] = []
        self._again_at = float("inf")
        self._timeout = timeout
        self._lane = FetchLane(client)
        self._gate = client.waiter.gate(self._lane.sockets)

    async def next(self) -> Block | None:
        """The next block, when all of it has come; None behind the last."""
        deadline = now() + self._timeout
        while True:
            while self._to_ask and len(self._open) < _AHEAD:
                block = self._to_ask.popleft()
                self._open.append(block)
                for positions in block.positions:
                    self._ask(block, positions)
            if not self._open:
                return None
            if not self._open[0].asked:
                return self._open.popleft()
            if self._step():
                deadline = now() + self._timeout
                continue
            time = now()
            if time >= self._again_at:
                self._ask_again()
                continue
            if time >= deadline:
                raise DeadlineExceeded(
                    f"no frames from {self._client.address} within {self._timeout:g} s: the acquisition stands still"
                )
            ready = await self._gate.wait(min(deadline, self._again_at, self._lane.next_time))
            self._lane.check_after(ready)

    def close(self) -> None:
        self._lane.close()

    def _ask(self, block: Block, positions: range) -> None:
        block.asked.append(positions)
        self._lane.session.fetch(self._acquisition, positions)

    def _ask_again(self) -> None:
        pending, self._pending = self._pending, []
        self._again_at = float("inf")
        for block, positions in pending:
            block.asked.remove(positions)
            self._ask(block, positions)

    def _step(self) -> bool:
        """Takes what has come; False when that was nothing new."""
        news = False
        for found in self._lane.step():
            if isinstance(found, Tile):
                news = True
                self._take(found)
                continue
            if isinstance(found.error, NotFound):
                raise found.error
            block = next(each for each in self._open if found.positions in each.asked)
            block.asked.remove(found.positions)
            for each in found.unavailable:
                if each.reason == "pending":
                    block.asked.append(each.positions)
                    self._pending.append((block, each.positions))
                    self._again_at = min(self._again_at, now() + _AGAIN_SECONDS)
                else:
                    news = True
                    block.unavailable.append(each)
        return news

    def _take(self, tile: Tile) -> None:
        for block in self._open:
            for positions in block.positions:
                low, high = max(positions.start, tile.first_position), min(positions.stop, tile.positions.stop)
                if low < high:
                    block.tiles.append(tile.part(range(low, high)))
