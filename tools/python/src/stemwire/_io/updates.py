"""The stream of results: snapshot first, then the newest state, never a queue."""

from __future__ import annotations

import zmq

from .._core.collecting import ResultFollower
from .._core.live import LiveDecoder
from .._core.topics import topic
from ..errors import ConnectionClosed, DeadlineExceeded, NotFound, RunFailed, ServerLost
from ..results import Results
from ..status import AcquisitionStatus, Status
from .client import Client
from .lanes import Lane, now

_QUEUE = 64
_MOST_AT_ONCE = 256
_FOREVER = float("inf")


class UpdateStream:
    """States of a run's results, until the acquisition has ended and all are final."""

    def __init__(
        self,
        client: Client,
        run: str,
        acquisitions: int | None,
        *,
        max_rate: float | None,
        timeout: float | None,
        join_current: bool = True,
    ) -> None:
        self._client = client
        self._run = run
        self._left = acquisitions
        self.limit_rate(max_rate)
        self._join_current = join_current
        self._timeout = timeout
        self._given_at = -_FOREVER
        self._changed = False
        self._closed = False
        self._decoder = LiveDecoder(client.verified)
        source = client.directory.source
        self._live = Lane(
            client.context,
            zmq.SUB,
            client.address.endpoint(client.directory.live_port),
            receive_limit=_QUEUE,
            topics=(topic("acquisition", source), topic("result", source, run), topic("event", source)),
        )
        self._gate = client.waiter.gate(self._live.sockets)
        self.follower = ResultFollower(run, 1)
        self.status: Status | None = None
        """The newest that is known."""

    def limit_rate(self, max_rate: float | None) -> None:
        """States a second at most; a final state does not wait."""
        if max_rate is not None and max_rate <= 0:
            raise ValueError("max_rate is updates a second, more than 0")
        self._pause = 0.0 if max_rate is None else 1 / max_rate

    @property
    def progress(self) -> AcquisitionStatus | None:
        """How far the acquisition that is followed has come, by the newest status."""
        if self.status is None or self.follower.acquisition is None:
            return None
        known = (*self.status.ended, *([self.status.acquisition] if self.status.acquisition is not None else []))
        return next((each for each in known if each.acquisition == self.follower.acquisition), None)

    async def open(self) -> None:
        try:
            await self._live.established(self._client.waiter, self._client.timeout)
            self.status = await self._client.status()
            current = self._join_current and self.status.acquisition is not None
            self.follower.first_generation = self.status.latest_generation + (not current)
            if current:
                await self._snapshot()
        except BaseException:
            self.close()
            raise

    async def next(self) -> Results | None:
        """The next state; None when all that was to be followed has ended. A final state is always given."""
        waiting_since = now()
        while True:
            if self._closed or self._client.closed:
                raise ConnectionClosed("the iterator is closed")
            self._drain()
            if self.follower.wants_snapshot(now()):
                await self._snapshot()
            if self.follower.acquisition is None and self.follower.empty.wants_status(now()):
                self.follower.status_answer(await self._client.status(), now())
            self._changed |= self.follower.changed()
            time = now()
            if self._changed and (self.follower.done or time >= self._given_at + self._pause):
                self._changed = False
                self._given_at = time
                return self.follower.results
            if self.follower.done:
                if self.follower.error and not self.follower.results.final:
                    raise RunFailed(f"the run {self._run!r} failed in the server: {self.follower.error}")
                if not self._begin_next():
                    return None
                await self._snapshot()
                continue
            deadline = _FOREVER if self._timeout is None else waiting_since + self._timeout
            if time >= deadline:
                raise DeadlineExceeded(self._silence())
            until = min(deadline, self._live.next_time, self.follower.next_time or _FOREVER, time + 60.0)
            if self._changed:
                # Kept back by the rate; the final state ends the pause.
                until = min(until, self._given_at + self._pause)
            self._live.check_after(await self._gate.wait(until), now())

    def leave(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._live.close()

    # Inside

    def _begin_next(self) -> bool:
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                return False
        self.follower = ResultFollower(self._run, self.follower.generation + 1)
        return True

    def _drain(self) -> None:
        """Takes in what has come, so that the state is the newest."""
        for _ in range(_MOST_AT_ONCE):
            parts = self._live.receive()
            if parts is None:
                return
            message = self._decoder.decode(parts)
            if message.session != self._client.control.session:
                raise ServerLost(f"the server at {self._client.address} was restarted: connect again")
            if isinstance(message.body, Status):
                self.status = message.body
            self.follower.live(message, now())
            if self.follower.done:
                return

    async def _snapshot(self) -> None:
        time = now()
        try:
            state = await self._client.snapshot(run=self._run, acquisition=self.follower.acquisition)
        except NotFound:
            self.follower.forgotten(time)
            return
        self.follower.snapshot(state, time)

    def _silence(self) -> str:
        if self.follower.error:
            return f"no result of the run {self._run!r} within {self._timeout:g} s: {self.follower.error}"
        if self.follower.acquisition is None:
            return f"no acquisition began within {self._timeout:g} s: arm and trigger the detector, or wait for longer"
        return f"no new result within {self._timeout:g} s, at {self.follower.results.coverage:.0%} of the scan"
