"""A worker's side of the work protocol (PROTOCOL.md, section 6), without its socket.

Messages and times go in, actions come out. Each connection is one epoch; what the server sent on an earlier one is
over, but for items whose frames were all here: those are computed, and their results sent on the next connection, if
it is to the same server session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from .._wire import stemwire_pb2 as pb
from .assignments import Assignments
from .limits import VERSION
from .worker_actions import Action, Connect, End, Ending, Map, Payload, Send, Tell

_GREETING_SECONDS = 2.0
_SHORTEST_BEAT = 0.02
_LONGEST_BEAT = 60.0
_FIRST_PAUSE = 0.025
_LONGEST_PAUSE = 1.0
_SETTLED_SECONDS = 1.0
_BEATS_OF_SILENCE = 10


class Phase(Enum):
    NEW = 0
    PAUSING = 1
    CONNECTING = 2
    GREETING = 3
    READY = 4
    OVER = 5


@dataclass
class WorkerSession:
    client: str
    client_id: bytes
    offer: pb.WorkerOffer
    items: int
    """What it can hold at a time: items, and bytes of their frames."""
    memory: int
    connect_timeout: float | None = None
    """For how long there may be no server; None: for ever."""

    phase: Phase = Phase.NEW
    epoch: int = 0
    session: bytes = b""
    malformed: int = 0
    leaves_at: float | None = None
    _told: tuple[int, int] = (0, 0)
    _actions: list[Action] = field(default_factory=list)
    _since: float = 0.0
    _pause_until: float = 0.0
    _beat: float = 1.0
    _silence: float = 3.0
    _next_beat: float = 0.0
    _heard: float = 0.0
    _alone: float | None = None
    _failures: int = 0
    _trouble: str = ""

    def __post_init__(self) -> None:
        self._work = Assignments(self.items, self.memory, self._actions)

    @property
    def is_leaving(self) -> bool:
        return self.leaves_at is not None

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.READY

    @property
    def next_time(self) -> float:
        """When `tick` has something to do without a message."""
        times = [] if self.leaves_at is None else [self.leaves_at]
        if self.connect_timeout is not None and self._alone is not None:
            times.append(self._alone + self.connect_timeout)
        if self.phase is Phase.PAUSING:
            times.append(self._pause_until)
        elif self.phase is Phase.GREETING:
            times.append(self._since + _GREETING_SECONDS)
        elif self.phase is Phase.READY:
            times += [self._next_beat, self._heard + self._silence]
        return min(times, default=float("inf"))

    def take_actions(self) -> list[Action]:
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    # The connection

    def start(self, now: float) -> None:
        self._alone = now
        self._enter(Phase.CONNECTING)
        self._actions.append(Connect())

    def connected(self, now: float) -> None:
        """Messages flow from now on."""
        if self.phase is not Phase.CONNECTING:
            return
        self.epoch += 1
        self._enter(Phase.GREETING)
        self._since = self._heard = now
        self._told = self._work.window
        hello = pb.WorkHello(
            version_min=VERSION,
            version_max=VERSION,
            client=self.client,
            client_id=self.client_id,
            epoch=self.epoch,
            credit=pb.Credit(items=self._told[0], bytes=self._told[1]),
            worker=self.offer,
        )
        self._actions.append(Send(pb.WorkMessage(hello=hello)))

    def disconnected(self, now: float) -> None:
        self._lose("the connection broke", now)

    def not_reached(self, why: str) -> None:
        """Nobody answers yet."""
        self._trouble = why

    def not_understood(self, why: str, now: float) -> None:
        """Somebody is there who does not speak this protocol, or does not let this worker in."""
        if self.phase is not Phase.OVER:
            self._tell_refusal(why)
            self._lose(why, now, is_refusal=True)

    def tick(self, now: float) -> None:
        if self.phase is Phase.OVER:
            return
        if self.connect_timeout is not None and self._alone is not None and now - self._alone >= self.connect_timeout:
            self._end(End(Ending.UNREACHABLE, self._trouble or "nobody answers"))
        elif self.leaves_at is not None and now >= self.leaves_at:
            self._say_goodbye()
        elif self.phase is Phase.PAUSING and now >= self._pause_until:
            self._enter(Phase.CONNECTING)
            self._actions.append(Connect())
        elif self.phase is Phase.GREETING and now - self._since >= _GREETING_SECONDS:
            self._lose(f"no answer to HELLO within {_GREETING_SECONDS:g} s", now)
        elif self.phase is Phase.READY:
            if now - self._heard >= self._silence:
                self._lose(f"nothing was heard of the server for {self._silence:g} s", now)
                return
            if now - self._since >= _SETTLED_SECONDS:
                self._failures = 0
            if now >= self._next_beat:
                self._next_beat = now + self._beat
                self._actions.append(Send(pb.WorkMessage(beat=pb.Beat())))

    def leave(self, patience: float, now: float) -> None:
        """Takes no more work, finishes what is here with all its frames, and goes.

        What is not done and acknowledged within `patience` seconds is left to others.
        """
        if self.phase is Phase.OVER:
            return
        until = now + patience
        self.leaves_at = until if self.leaves_at is None else min(self.leaves_at, until)
        self._work.is_leaving = True
        if not self.is_ready or patience <= 0:
            self._say_goodbye()
            return
        self._tell_credit()
        self._work.drop_open()
        self._go_if_done()

    def receive(self, message: pb.WorkMessage, payloads: Sequence[int], now: float) -> None:
        """Takes what the server sent. `payloads`: the sizes of the payload parts."""
        self._heard = now
        kind = message.WhichOneof("kind")
        if kind == "failure" and self.phase in (Phase.GREETING, Phase.READY):
            self._refused(message.failure, now)
        elif kind == "bye" and self.phase in (Phase.GREETING, Phase.READY):
            self._lose(f"the server says: {message.bye.reason}", now)
        elif kind == "welcome" and self.phase is Phase.GREETING:
            self._greeted(message.welcome, now)
        elif self.is_ready and not self._work.receive(kind, message, payloads):
            self.malformed += 1
        self._tell_credit()
        self._go_if_done()

    # What was computed

    def planned(self, serial: int, answer: pb.Planned, is_fault_of_udf: bool = True) -> None:
        """A plan is ready, or cannot be done here."""
        self._work.planned(serial, answer, is_fault_of_udf)

    def finished(self, serial: int, result: pb.WorkResult, payload: Payload) -> None:
        """An item is computed. One that was dropped meanwhile is not told."""
        self._work.finished(serial, result, payload)
        self._tell_credit()
        self._go_if_done()

    def failed(self, serial: int, udf: str, why: str, is_udf: bool) -> None:
        """An item failed. `is_udf`: the UDF itself did, so that another worker will hardly do better."""
        self._work.failed(serial, udf, why, is_udf)
        self._tell_credit()
        self._go_if_done()

    def gone(self, serial: int) -> None:
        """Frames of an item are not there any more: the server has given the item to others, or will."""
        self._work.gone(serial)
        self._tell_credit()
        self._go_if_done()

    def mapped(self) -> None:
        """The server's memory can be read."""
        if self.is_ready:
            self._work.reads_memory = True
            self._work.send(pb.WorkMessage(frame_memory_mapped=pb.FrameMemoryMapped()))

    def merged(self, serial: int, done: pb.MergeTaskDone, payload: Payload) -> None:
        self._work.merged(serial, done, payload)

    # Details

    def _greeted(self, welcome: pb.WorkWelcome, now: float) -> None:
        self._enter(Phase.READY)
        self._since = now
        self._alone = None
        self._beat = min(_LONGEST_BEAT, max(_SHORTEST_BEAT, welcome.beat_interval_ms / 1000))
        limit = welcome.silence_limit_ms / 1000
        # Less than two beats would take every delay for a death.
        self._silence = max(limit, 2 * self._beat) if limit else self._beat * _BEATS_OF_SILENCE
        self._next_beat = now + self._beat
        if welcome.HasField("frame_memory") and self.offer.reads_memory:
            self._actions.append(Map(welcome.frame_memory))
        self._actions.append(Tell("connected", welcome.session.hex()))
        self._work.connected(welcome.session == self.session)
        self.session = welcome.session

    def _refused(self, failure: pb.Failure, now: float) -> None:
        if self.phase is Phase.GREETING and failure.code == "unsupportedVersion":
            self._end(End(Ending.REFUSED, failure.message))
        elif self.phase is Phase.GREETING:
            self._tell_refusal(failure.message)
            self._lose(failure.message, now, is_refusal=True)
        elif failure.code == "wrongState":
            # The server has forgotten this worker, or is another process by now.
            self._lose(failure.message, now)
        else:
            self._actions.append(Tell("refused", failure.message))

    def _tell_refusal(self, why: str) -> None:
        """Once for a series of refusals: the worker goes on trying."""
        if self._trouble != why:
            self._actions.append(Tell("refused", why))
        self._trouble = why

    def _lose(self, why: str, now: float, is_refusal: bool = False) -> None:
        """Gives the connection up and makes another."""
        was_ready = self.is_ready
        usable = self.phase in (Phase.READY, Phase.GREETING) or (self.phase is Phase.CONNECTING and is_refusal)
        if not usable:
            return
        if not is_refusal:
            self._trouble = why
        self._work.disconnected()
        if self._alone is None:
            self._alone = now
        if was_ready:
            self._actions.append(Tell("lost", why))
        if self.is_leaving:
            self._end(End(Ending.LEFT, unfinished=self._work.unfinished))
            return
        growing = 0.0 if self._failures == 0 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 6))
        self._failures += 1
        self._pause_until = now + (_LONGEST_PAUSE if is_refusal else growing)
        self._enter(Phase.PAUSING)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._work.is_connected = phase is Phase.READY
        self._work.epoch = self.epoch

    def _tell_credit(self) -> None:
        if self.is_ready and self._work.window != self._told:
            self._told = self._work.window
            self._work.send(pb.WorkMessage(credit=pb.Credit(items=self._told[0], bytes=self._told[1])))

    def _go_if_done(self) -> None:
        if self.is_leaving and self.is_ready and self._work.is_done:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        if self.phase is Phase.OVER:
            return
        self._work.send(pb.WorkMessage(bye=pb.Bye(reason="the worker leaves")))
        self._end(End(Ending.LEFT, unfinished=self._work.unfinished))

    def _end(self, end: End) -> None:
        self._work.drop_all()
        self._enter(Phase.OVER)
        self.leaves_at = None
        self._actions.append(end)
