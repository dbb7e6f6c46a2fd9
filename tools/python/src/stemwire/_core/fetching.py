"""FETCH under credit (PROTOCOL.md, section 5), without its socket."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .._wire import stemwire_pb2 as pb
from ..errors import (
    DeadlineExceeded,
    NotFound,
    ProtocolError,
    RequestRefused,
    VersionMismatch,
    WrongState,
    refusal,
)
from ..frames import Tile
from . import messages
from .limits import VERSION
from .positions import PositionSet

_WAITING_REQUESTS = 16
"""Requests that wait in the server at most; it would take 64."""
_BEATS_UNTIL_FORGOTTEN = 10
"""Where the server does not tell its limit of silence."""
_FORGOTTEN_SHARE = 0.8
"""Of the limit of silence, after which this end takes itself for forgotten."""
_FIRST_BEAT_SECONDS = 0.5
_WELCOME_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Positions that the server cannot give, and why."""

    positions: range
    reason: str
    """missing (the detector's frame never came), pending (not yet) or released (the memory was needed)."""


@dataclass(frozen=True, slots=True)
class FetchDone:
    """All that a request can bring has come."""

    acquisition: uuid.UUID
    positions: range
    unavailable: tuple[Unavailable, ...]
    error: RequestRefused | None = None
    """The server does not know the acquisition (any more)."""


FetchEvent: TypeAlias = Tile | FetchDone


@dataclass(slots=True)
class _Request:
    acquisition: uuid.UUID
    positions: range
    received: PositionSet = field(default_factory=PositionSet)

    @property
    def rest(self) -> range:
        """What is still to come; the tiles of a request come in ascending order."""
        return range(max(self.positions.start, self.received.stop), self.positions.stop)


class FetchSession:
    """Asks for ranges of positions and takes what comes, never more than its credit allows.

    After a silence that made the server forget it (a user who thinks for long about a tile), it says hello again and
    asks for what has not come yet.
    """

    def __init__(self, client: str, items: int, size: int, verified: bool) -> None:
        self._client = client
        self._id = uuid.uuid4().bytes
        self._credit = (items, size)
        self._verified = verified
        self._formats = messages.FormatCache()
        self._epoch = 0
        self._beat = _FIRST_BEAT_SECONDS
        self._silence = _FIRST_BEAT_SECONDS * _BEATS_UNTIL_FORGOTTEN
        self._welcomed = False
        self._hello_at = 0.0
        self._sent_at = 0.0
        self._heard_at = 0.0
        self._number = 0
        self._outstanding: dict[int, _Request] = {}
        self._former: dict[int, _Request] = {}
        self._waiting: deque[_Request] = deque()
        self._finished: list[FetchEvent] = []
        self._taken: list[int] = []
        self._outgoing: list[bytes] = []

    @property
    def idle(self) -> bool:
        """Nothing was asked for that has not come."""
        return not self._outstanding and not self._waiting

    def fetch(self, acquisition: uuid.UUID, positions: range) -> None:
        self._waiting.append(_Request(acquisition, positions))

    def reconnected(self, now: float) -> None:
        """The connection was cut and is there again: the server knows nothing of this session."""
        self._hello(now)

    def outgoing(self, now: float) -> list[bytes]:
        """Messages to be sent now; call it after everything else, and at `next_time`."""
        if self._epoch == 0 or now - self._sent_at > self._silence * _FORGOTTEN_SHARE:
            self._hello(now)
        elif not self._welcomed and now - self._hello_at > _WELCOME_SECONDS:
            raise DeadlineExceeded(f"the server's work socket did not answer within {_WELCOME_SECONDS:g} s")
        if self._welcomed:
            self._ask()
        if self._taken:
            credit = pb.Credit(items=len(self._taken), bytes=sum(self._taken))
            self._taken.clear()
            self._put(pb.WorkMessage(credit=credit))
        if not self._outgoing and now - self._sent_at >= self._beat:
            self._put(pb.WorkMessage(beat=pb.Beat()))
        ready, self._outgoing = self._outgoing, []
        if ready:
            self._sent_at = now
        return ready

    @property
    def next_time(self) -> float:
        return self._sent_at + self._beat

    def farewell(self) -> bytes:
        return pb.WorkMessage(bye=pb.Bye(reason="done")).SerializeToString()

    def receive(self, parts: Sequence[memoryview], now: float) -> list[FetchEvent]:
        messages.check_parts(parts)
        if not parts:
            raise ProtocolError("an empty message on the work socket")
        message = pb.WorkMessage()
        messages.parse(message, parts[0])
        self._heard_at = now
        kind = message.WhichOneof("kind")
        if kind == "welcome":
            self._welcome(message.welcome)
        elif kind == "tile":
            return self._tile(message.tile, parts[1:])
        elif kind == "fetch_end":
            return self._end(message.fetch_end)
        elif kind == "failure":
            return self._failure(message.failure, now)
        return []

    def finished(self) -> list[FetchEvent]:
        """Requests that turned out to be done without another answer."""
        done, self._finished = self._finished, []
        return done

    def silent(self, now: float) -> bool:
        """The server has not been heard for so long that it must be gone; ask only after all that came was received."""
        since = max(self._heard_at, self._hello_at)
        return self._welcomed and now - since > self._silence

    # What is sent

    def _put(self, message: pb.WorkMessage) -> None:
        self._outgoing.append(message.SerializeToString())

    def _hello(self, now: float) -> None:
        self._epoch += 1
        self._welcomed = False
        self._hello_at = now
        self._taken.clear()
        # What was sent before this hello may still be in the queue; it counts for the same requests.
        self._former = self._outstanding
        self._waiting.extendleft(reversed(self._outstanding.values()))
        self._outstanding = {}
        items, size = self._credit
        hello = pb.WorkHello(
            version_min=VERSION,
            version_max=VERSION,
            client=self._client,
            client_id=self._id,
            epoch=self._epoch,
            credit=pb.Credit(items=items, bytes=size),
        )
        self._put(pb.WorkMessage(hello=hello))

    def _ask(self) -> None:
        while self._waiting and len(self._outstanding) < _WAITING_REQUESTS:
            request = self._waiting.popleft()
            if not request.rest:
                self._finished.append(FetchDone(request.acquisition, request.positions, ()))
                continue
            self._number += 1
            self._outstanding[self._number] = request
            fetch = pb.Fetch(
                request=self._number,
                acquisition=request.acquisition.bytes,
                first=request.rest.start,
                count=len(request.rest),
            )
            self._put(pb.WorkMessage(fetch=fetch))

    # What is received

    def _welcome(self, welcome: pb.WorkWelcome) -> None:
        if welcome.version != VERSION:
            raise VersionMismatch(f"the server's work socket speaks version {welcome.version}, this client {VERSION}")
        self._welcomed = True
        if welcome.beat_interval_ms:
            self._beat = min(60.0, max(0.01, welcome.beat_interval_ms / 1000))
        limit = welcome.silence_limit_ms / 1000
        self._silence = max(limit, 2 * self._beat) if limit else self._beat * _BEATS_UNTIL_FORGOTTEN

    def _tile(self, message: pb.FetchedTile, payloads: Sequence[memoryview]) -> list[FetchEvent]:
        tile = messages.tile(message.tile, payloads, self._verified, self._formats, fetched=True)
        request = self._outstanding.get(message.request)
        if request is not None:
            self._taken.append(len(tile.payload))
        else:
            request = self._former.get(message.request)
        if request is not None:
            request.received.add(tile.first_position, tile.first_position + tile.count)
        return [tile]

    def _end(self, message: pb.FetchEnd) -> list[FetchEvent]:
        request = self._outstanding.pop(message.request, None)
        if request is None:
            return []
        unavailable = tuple(
            Unavailable(range(each.range.first, each.range.first + each.range.count), each.reason)
            for each in message.unavailable
        )
        return [FetchDone(request.acquisition, request.positions, unavailable)]

    def _failure(self, failure: pb.Failure, now: float) -> list[FetchEvent]:
        error = refusal(failure.code, failure.message, failure.detector_code)
        if self._welcomed and isinstance(error, WrongState):
            # The server does not know this peer any more.
            self._hello(now)
            return []
        if isinstance(error, NotFound) and self._outstanding:
            # A failure does not name its request; requests are answered in turn.
            request = self._outstanding.pop(min(self._outstanding))
            return [FetchDone(request.acquisition, request.positions, (Unavailable(request.rest, "released"),), error)]
        raise error
