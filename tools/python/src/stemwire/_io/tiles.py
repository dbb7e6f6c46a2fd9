"""The stream of tiles: SUB for what comes, DEALER for what was lost."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Collection
from math import prod

import zmq

from .._core.fetching import FetchDone, FetchSession, Unavailable
from .._core.following import Following, TileFollower
from .._core.live import LiveDecoder
from .._core.topics import topic
from ..errors import ConnectionClosed, DeadlineExceeded, NotFound, NothingToFetch, ServerLost
from ..frames import Tile
from ..status import Start
from .client import Client
from .lanes import Lane, now

_TYPICAL_TILE_BYTES = 1 << 20
_FETCH_ITEMS = 16
_FETCH_BYTES = 64 << 20
_WORK_QUEUE = 256
_BYE_MS = 100
_FOREVER = float("inf")


class FetchLane:
    """The work socket and the session on it."""

    def __init__(self, client: Client) -> None:
        if not client.directory.work_port:
            raise NothingToFetch(
                f"frames cannot be fetched from {client.address}, which is a relay: connect to the server itself"
            )
        self.session = FetchSession(client.name, _FETCH_ITEMS, _FETCH_BYTES, client.verified)
        endpoint = client.address.endpoint(client.directory.work_port)
        self._lane = Lane(client.context, zmq.DEALER, endpoint, receive_limit=_WORK_QUEUE, linger_ms=_BYE_MS)
        self._reconnects = 0
        self.sockets = self._lane.sockets

    def step(self) -> list[Tile | FetchDone]:
        """Sends what is due and takes one message at most."""
        time = now()
        if self._lane.reconnects > self._reconnects:
            self._reconnects = self._lane.reconnects
            self.session.reconnected(time)
        for message in self.session.outgoing(time):
            self._lane.send(message)
        found = self.session.finished()
        parts = self._lane.receive()
        if parts is not None:
            return found + self.session.receive(parts, time)
        if self.session.silent(time):
            raise ServerLost(f"the work socket at {self._lane.endpoint} has gone silent")
        return found

    def check_after(self, ready: Collection[zmq.Socket[bytes]]) -> None:
        self._lane.check_after(ready, now())

    @property
    def next_time(self) -> float:
        return min(self.session.next_time, self._lane.next_time)

    def close(self) -> None:
        if not self._lane.socket.closed:
            self._lane.send(self.session.farewell())
        self._lane.close()


class TileStream:
    """Tiles of one acquisition or of several, each position once."""

    def __init__(
        self, client: Client, acquisitions: int | None, repair: bool, timeout: float | None, memory: int
    ) -> None:
        self._client = client
        self._acquisitions = acquisitions
        # A relay has nothing to repair with: what is lost shows.
        repair = repair and client.directory.work_port > 0
        self._repair = repair
        self._timeout = timeout
        self._decoder = LiveDecoder(client.verified)
        self._ready: deque[Tile] = deque()
        self._fetch: FetchLane | None = None
        self._closed = False
        source = client.directory.source
        self._live = Lane(
            client.context,
            zmq.SUB,
            client.address.endpoint(client.directory.live_port),
            receive_limit=max(4, memory // _TYPICAL_TILE_BYTES),
            topics=(topic("acquisition", source), topic("tile", source), topic("event", source)),
        )
        self._gate = client.waiter.gate(self._live.sockets)
        self.follower = TileFollower(1, acquisitions, repair)

    async def open(self) -> None:
        """Subscribes, then asks what there is: nothing between the two is lost."""
        try:
            await self._live.established(self._client.waiter, self._client.timeout)
            status = await self._client.status()
        except BaseException:
            self.close()
            raise
        running = status.acquisition
        self.follower.first_generation = status.latest_generation + (running is None)
        self.follower.status(status, now())

    async def next(self) -> Tile | None:
        """The next tile; None when all that was to be followed has ended."""
        waiting_since = now()
        while True:
            if self._closed or self._client.closed:
                raise ConnectionClosed("the iterator is closed")
            if self._ready:
                return self._ready.popleft()
            if self._step():
                continue
            if self.follower.empty.wants_status(now()):
                self.follower.status_answer(await self._client.status(), now())
            time = now()
            self.follower.tick(time)
            if self.follower.done:
                return None
            if self.follower.fetches:
                continue
            deadline = _FOREVER if self._timeout is None else waiting_since + self._timeout
            if time >= deadline:
                raise DeadlineExceeded(self._silence())
            await self._wait(deadline)

    async def start(self, following: Following) -> Start | None:
        """The start of an acquisition: if its message was lost, by a snapshot; None when the server has it no more."""
        if following.start is None:
            try:
                state = await self._client.snapshot(acquisition=following.acquisition)
            except NotFound:
                return None
            following.start = state.start
        return following.start

    def leave(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._live.close()
            if self._fetch is not None:
                self._fetch.close()

    # Inside

    def _step(self) -> bool:
        """Takes one message from each socket; False when there was none."""
        time = now()
        busy = False
        parts = self._live.receive()
        if parts is not None:
            busy = True
            message = self._decoder.decode(parts)
            if message.session != self._client.control.session:
                raise ServerLost(f"the server at {self._client.address} was restarted: connect again")
            self._ready.extend(self.follower.live(message, time))
        while self.follower.fetches:
            if self._fetch is None:
                self._fetch = FetchLane(self._client)
                self._gate = self._client.waiter.gate((*self._live.sockets, *self._fetch.sockets))
            self._fetch.session.fetch(*self.follower.fetches.popleft())
        if self._fetch is not None:
            for found in self._fetch.step():
                busy = True
                if isinstance(found, Tile):
                    self._ready.extend(self.follower.fetched(found))
                else:
                    self.follower.fetch_done(found, time)
        return busy

    async def _wait(self, deadline: float) -> None:
        until = min(deadline, self._live.next_time, self.follower.next_time or _FOREVER)
        if self._fetch is not None:
            until = min(until, self._fetch.next_time)
        ready = await self._gate.wait(until)
        self._live.check_after(ready, now())
        if self._fetch is not None:
            self._fetch.check_after(ready)

    def _silence(self) -> str:
        running = [each for each in self.follower.followed.values() if not each.done]
        if not running:
            return f"no acquisition began within {self._timeout:g} s: arm and trigger the detector, or wait for longer"
        last = running[-1]
        return (
            f"no tile within {self._timeout:g} s; {len(last.received)} of {last.size} frames of acquisition "
            f"{last.generation} have come"
        )


class FetchStream:
    """Frames that the server still holds, in ascending order."""

    def __init__(
        self, client: Client, acquisition: uuid.UUID | None, first: int, count: int | None, timeout: float | None
    ) -> None:
        self._client = client
        self._timeout = client.timeout if timeout is None else timeout
        self._asked = (acquisition, first, count)
        self._ready: deque[Tile] = deque()
        self._done = False
        self._closed = False
        self._lane: FetchLane | None = None
        self.unavailable: list[Unavailable] = []

    async def open(self) -> None:
        acquisition, first, count = self._asked
        if acquisition is None or count is None:
            status = await self._client.status()
            known = list(status.ended) + ([status.acquisition] if status.acquisition is not None else [])
            if acquisition is not None:
                known = [each for each in known if each.acquisition == acquisition]
            if not known:
                raise NotFound("there is no such acquisition to fetch from", "notFound")
            acquisition = known[-1].acquisition
            if count is None:
                count = max(0, prod(known[-1].nav_shape) - first)
        if first < 0 or count < 0:
            raise ValueError(f"positions {first} … {first + count} cannot be fetched")
        self._lane = FetchLane(self._client)
        if count:
            self._lane.session.fetch(acquisition, range(first, first + count))
        else:
            self._done = True

    async def next(self) -> Tile | None:
        deadline = now() + self._timeout
        if self._lane is None:
            raise ConnectionClosed("the iterator is closed")
        gate = self._client.waiter.gate(self._lane.sockets)
        while True:
            if self._closed or self._client.closed:
                raise ConnectionClosed("the iterator is closed")
            if self._ready:
                return self._ready.popleft()
            if self._done:
                return None
            found = self._lane.step()
            for each in found:
                if isinstance(each, Tile):
                    self._ready.append(each)
                elif each.error is not None:
                    raise each.error
                else:
                    self.unavailable.extend(each.unavailable)
                    self._done = True
            if found:
                continue
            if now() >= deadline:
                raise DeadlineExceeded(f"no frames from the server within {self._timeout:g} s")
            self._lane.check_after(await gate.wait(min(deadline, self._lane.next_time)))

    def leave(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._lane is not None:
                self._lane.close()
