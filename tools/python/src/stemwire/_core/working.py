"""A worker's side of the work protocol (PROTOCOL.md, section 6), without its socket.

Messages and times go in, actions come out. Each connection is one epoch; what the server sent on an earlier one is
over, but for items whose frames were all here: those are computed, and their results sent on the next connection, if
it is to the same server session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from .._wire import stemwire_pb2 as pb
from .limits import VERSION
from .worker_actions import (
    Action,
    Begin,
    Close,
    Connect,
    Drop,
    End,
    Ending,
    Forget,
    ItemID,
    Merge,
    Payload,
    Prepare,
    Send,
    Take,
    Tell,
)

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
class _Plan:
    serial: int
    start: pb.Start
    answer: pb.Planned | None = None
    is_fault_of_udf: bool = True

    @property
    def failure(self) -> str:
        return "" if self.answer is None else self.answer.failure


@dataclass
class _Item:
    serial: int
    epoch: int
    frames: int = 0
    size: int = 0
    is_closed: bool = False


class _Answer(NamedTuple):
    """A result or a failure that the server has not acknowledged."""

    message: pb.WorkMessage
    payload: Payload
    is_result: bool


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
    _plans: dict[int, _Plan] = field(default_factory=dict)
    _items: dict[ItemID, _Item] = field(default_factory=dict)
    _ids: dict[int, ItemID] = field(default_factory=dict)
    _answers: dict[ItemID, _Answer] = field(default_factory=dict)
    _tasks: set[int] = field(default_factory=set)
    _told: tuple[int, int] = (0, 0)
    _serial: int = 0
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
        actions, self._actions = self._actions, []
        return actions

    # The connection

    def start(self, now: float) -> None:
        self._alone = now
        self.phase = Phase.CONNECTING
        self._actions.append(Connect())

    def connected(self, now: float) -> None:
        """Messages flow from now on."""
        if self.phase is not Phase.CONNECTING:
            return
        self.epoch += 1
        self.phase = Phase.GREETING
        self._since = self._heard = now
        self._told = self._window
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
            self.phase = Phase.CONNECTING
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
        if not self.is_ready or patience <= 0:
            self._say_goodbye()
            return
        self._tell_credit()
        for identity in [each for each, item in self._items.items() if not item.is_closed]:
            self._drop(identity)
            self._tell_holding(identity, False)
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
        elif self.is_ready:
            self._receive(kind, message, payloads)
        self._tell_credit()
        self._go_if_done()

    def _receive(self, kind: str | None, message: pb.WorkMessage, payloads: Sequence[int]) -> None:
        if kind == "plan":
            self._take_plan(message.plan)
        elif kind == "work":
            self._take_frames(message.work, payloads)
        elif kind == "closed":
            self._take_close(message.closed)
        elif kind == "ack":
            self._answers.pop(ItemID.of(message.ack.item), None)
        elif kind == "withdraw":
            identity = ItemID.of(message.withdraw.item)
            self._answers.pop(identity, None)
            self._drop(identity)
            self._send(pb.WorkMessage(withdrew=pb.Withdrew(item=identity.wire)))
        elif kind == "ask":
            self._take_question(message.ask)
        elif kind == "plan_over":
            self._take_plan_over(message.plan_over.plan)
        elif kind == "merge_task":
            self._take_merge_task(message.merge_task)
        elif kind in ("hello", "planned", "result", "failed", "merge_task_done", "holding", "withdrew"):
            self.malformed += 1

    # Plans, items and merge tasks

    def _take_plan(self, message: pb.WorkPlan) -> None:
        if self.is_leaving:
            return
        known = self._plans.get(message.plan)
        if known is not None:
            if known.answer is not None:
                self._send(pb.WorkMessage(planned=known.answer))
            return
        serial = self._next_serial()
        self._plans[message.plan] = _Plan(serial, message.start)
        self._actions.append(Prepare(serial, message))

    def _plan_of(self, identity: ItemID) -> _Plan | None:
        """The plan of an item that may be worked on; the item has failed otherwise."""
        plan = self._plans.get(identity.plan)
        if plan is None:
            self._fail(identity, f"the worker does not have plan {identity.plan}", is_udf=False)
            return None
        if plan.failure:
            self._fail(identity, plan.failure, is_udf=plan.is_fault_of_udf)
            return None
        return plan

    def _take_frames(self, work: pb.WorkTile, payloads: Sequence[int]) -> None:
        identity = ItemID.of(work.item)
        # Of an item that failed already there may be more frames under way.
        if self.is_leaving or identity in self._answers:
            return
        plan = self._plan_of(identity)
        if plan is None:
            return
        tile, start = work.tile, plan.start
        if len(payloads) != 1:
            self._fail(identity, f"frames come in one part, not in {len(payloads)}", is_udf=False)
        elif (tile.acquisition, tile.partition) != (
            start.acquisition,
            identity.partition,
        ) or tile.format != start.format:
            why = "the frames are not those of the plan's acquisition or of the partition"
            self._fail(identity, why, is_udf=False)
        elif identity in self._items and self._items[identity].is_closed:
            self._fail(identity, "frames came after the partition was closed", is_udf=False)
        else:
            item = self._begin(identity, plan)
            item.frames += tile.count
            item.size += payloads[0]
            self._actions.append(Take(item.serial, tile))

    def _take_close(self, closed: pb.WorkClosed) -> None:
        identity = ItemID.of(closed.item)
        known = self._items.get(identity)
        if self.is_leaving or identity in self._answers or (known is not None and known.is_closed):
            return
        plan = self._plan_of(identity)
        if plan is None:
            return
        here = 0 if known is None else known.frames
        if here != closed.frames:
            self._fail(identity, f"frames lost on the way: {here} of {closed.frames} came", is_udf=False)
            return
        item = self._begin(identity, plan)
        item.is_closed = True
        self._actions.append(Close(item.serial))

    def _take_question(self, ask: pb.Ask) -> None:
        identity = ItemID.of(ask.item)
        answer = self._answers.get(identity)
        if answer is not None:
            self._send(answer.message, answer.payload)
            return
        item = self._items.get(identity)
        if item is None:
            is_whole = ask.frames == 0 and not ask.closed and not self.is_leaving
        else:
            is_whole = (item.frames, item.is_closed) == (ask.frames, ask.closed)
        if not is_whole:
            self._drop(identity)
        self._tell_holding(identity, is_whole)

    def _take_plan_over(self, number: int) -> None:
        for identity in [each for each in self._items if each.plan == number]:
            self._drop(identity)
        self._answers = {each: answer for each, answer in self._answers.items() if each.plan != number}
        plan = self._plans.pop(number, None)
        if plan is not None:
            self._actions.append(Forget(plan.serial, is_over=True))

    def _take_merge_task(self, task: pb.MergeTask) -> None:
        if self.is_leaving:
            return
        plan = self._plans.get(task.plan)
        failure = f"the worker does not have plan {task.plan}" if plan is None else plan.failure
        if plan is None or failure:
            self._send(pb.WorkMessage(merge_task_done=pb.MergeTaskDone(task=task.task, failure=failure)))
            return
        serial = self._next_serial()
        self._tasks.add(serial)
        self._actions.append(Merge(serial, plan.serial, task))

    # What was computed

    def planned(self, serial: int, answer: pb.Planned, is_fault_of_udf: bool = True) -> None:
        """A plan is ready, or cannot be done here."""
        for number, plan in self._plans.items():
            if plan.serial == serial:
                answer.plan = number
                plan.answer, plan.is_fault_of_udf = answer, is_fault_of_udf
                self._send(pb.WorkMessage(planned=answer))
                break
        else:
            return
        if answer.failure:
            for identity in [each for each in self._items if each.plan == number]:
                if self._items[identity].epoch == self.epoch:
                    self._fail(identity, answer.failure, is_udf=is_fault_of_udf)

    def finished(self, serial: int, result: pb.WorkResult, payload: Payload) -> None:
        """An item is computed. One that was dropped meanwhile is not told."""
        identity = self._ids.get(serial)
        if identity is None:
            return
        self._remove(identity)
        result.item.CopyFrom(identity.wire)
        self._answer(identity, _Answer(pb.WorkMessage(result=result), payload, True))
        self._tell_credit()
        self._go_if_done()

    def failed(self, serial: int, udf: str, why: str, is_udf: bool) -> None:
        """An item failed. `is_udf`: the UDF itself did, so that another worker will hardly do better."""
        identity = self._ids.get(serial)
        if identity is None:
            return
        self._fail(identity, why, is_udf=is_udf, udf=udf)
        self._tell_credit()
        self._go_if_done()

    def merged(self, serial: int, done: pb.MergeTaskDone, payload: Payload) -> None:
        if serial in self._tasks:
            self._tasks.remove(serial)
            self._send(pb.WorkMessage(merge_task_done=done), payload)

    # Details

    def _greeted(self, welcome: pb.WorkWelcome, now: float) -> None:
        self.phase = Phase.READY
        self._since = now
        self._alone = None
        self._beat = min(_LONGEST_BEAT, max(_SHORTEST_BEAT, welcome.beat_interval_ms / 1000))
        limit = welcome.silence_limit_ms / 1000
        # Less than two beats would take every delay for a death.
        self._silence = max(limit, 2 * self._beat) if limit else self._beat * _BEATS_OF_SILENCE
        self._next_beat = now + self._beat
        self._actions.append(Tell("connected", welcome.session.hex()))
        if welcome.session != self.session:
            self.session = welcome.session
            for identity in list(self._items):
                self._drop(identity)
            self._answers.clear()
        for answer in self._answers.values():
            self._actions.append(Send(answer.message, answer.payload))

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
        for identity in [each for each, item in self._items.items() if not item.is_closed]:
            self._drop(identity)
        self._actions += [Forget(plan.serial, is_over=False) for plan in self._plans.values()]
        self._plans.clear()
        self._tasks.clear()
        if self._alone is None:
            self._alone = now
        if was_ready:
            self._actions.append(Tell("lost", why))
        if self.is_leaving:
            self._end(End(Ending.LEFT, unfinished=len(self._items)))
            return
        growing = 0.0 if self._failures == 0 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 6))
        self._failures += 1
        self._pause_until = now + (_LONGEST_PAUSE if is_refusal else growing)
        self.phase = Phase.PAUSING

    @property
    def _window(self) -> tuple[int, int]:
        """What the server may have this worker hold: all that it can, but for what it holds of connections before."""
        if self.is_leaving:
            return (0, 0)
        former = [item for item in self._items.values() if item.epoch != self.epoch]
        return max(0, self.items - len(former)), max(0, self.memory - sum(item.size for item in former))

    def _tell_credit(self) -> None:
        if self.is_ready and self._window != self._told:
            self._told = self._window
            self._send(pb.WorkMessage(credit=pb.Credit(items=self._told[0], bytes=self._told[1])))

    def _tell_holding(self, identity: ItemID, is_whole: bool) -> None:
        self._send(pb.WorkMessage(holding=pb.Holding(item=identity.wire, is_whole=is_whole)))

    def _begin(self, identity: ItemID, plan: _Plan) -> _Item:
        item = self._items.get(identity)
        if item is None:
            item = self._items[identity] = _Item(self._next_serial(), self.epoch)
            self._ids[item.serial] = identity
            self._actions.append(Begin(item.serial, identity.partition, plan.serial))
        return item

    def _drop(self, identity: ItemID) -> None:
        item = self._items.get(identity)
        if item is not None:
            self._actions.append(Drop(item.serial))
            self._remove(identity)

    def _remove(self, identity: ItemID) -> None:
        del self._ids[self._items.pop(identity).serial]

    def _fail(self, identity: ItemID, why: str, *, is_udf: bool, udf: str = "") -> None:
        self._drop(identity)
        failed = pb.WorkFailed(item=identity.wire, udf=udf, message=why, udf_error=is_udf)
        self._answer(identity, _Answer(pb.WorkMessage(failed=failed), (), False))

    def _answer(self, identity: ItemID, answer: _Answer) -> None:
        self._answers.pop(identity, None)
        self._answers[identity] = answer
        self._send(answer.message, answer.payload)

    def _send(self, message: pb.WorkMessage, payload: Payload = ()) -> None:
        if self.is_ready:
            self._actions.append(Send(message, payload))

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _go_if_done(self) -> None:
        # Whether the server has heard of a failure changes nothing: it gives the item to others in either case.
        results = any(answer.is_result for answer in self._answers.values())
        if self.is_leaving and self.is_ready and not self._items and not results:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        if self.phase is Phase.OVER:
            return
        self._send(pb.WorkMessage(bye=pb.Bye(reason="the worker leaves")))
        self._end(End(Ending.LEFT, unfinished=len(self._items)))

    def _end(self, end: End) -> None:
        for identity in list(self._items):
            self._drop(identity)
        self.phase = Phase.OVER
        self.leaves_at = None
        self._actions.append(end)
