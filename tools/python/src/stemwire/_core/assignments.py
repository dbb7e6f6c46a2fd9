"""What the server gave a worker to do, and what became of it: plans, items, answers, merge tasks.

Part of `WorkerSession`, which knows of connections. Items whose frames were all here survive the loss of a connection;
what the server sent besides is over with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .._wire import stemwire_pb2 as pb
from .worker_actions import Action, Begin, Close, Drop, Forget, ItemID, Merge, Payload, Prepare, Send, Take


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
class Assignments:
    items: int
    """What the worker can hold at a time: items, and bytes of their frames."""
    memory: int
    actions: list[Action]
    """Where all that is to be done goes."""

    epoch: int = 0
    """Of the present connection, or of the last one."""
    is_connected: bool = False
    """What is sent is sent; else it waits, if it is an answer, and is forgotten, if not."""
    is_leaving: bool = False
    """No more work is taken."""
    reads_memory: bool = False
    """The server's memory is mapped."""
    _plans: dict[int, _Plan] = field(default_factory=dict)
    _items: dict[ItemID, _Item] = field(default_factory=dict)
    _ids: dict[int, ItemID] = field(default_factory=dict)
    _answers: dict[ItemID, _Answer] = field(default_factory=dict)
    _tasks: set[int] = field(default_factory=set)
    _serial: int = 0

    @property
    def unfinished(self) -> int:
        return len(self._items)

    @property
    def is_done(self) -> bool:
        """Nothing is computed, and the server has all results."""
        # Whether the server has heard of a failure changes nothing: it gives the item to others in either case.
        return not self._items and not any(answer.is_result for answer in self._answers.values())

    @property
    def window(self) -> tuple[int, int]:
        """What the server may have this worker hold: all that it can, but for what it holds of connections before."""
        if self.is_leaving:
            return (0, 0)
        former = [item for item in self._items.values() if item.epoch != self.epoch]
        return max(0, self.items - len(former)), max(0, self.memory - sum(item.size for item in former))

    # What the server says

    def receive(self, kind: str | None, message: pb.WorkMessage, payloads: Sequence[int]) -> bool:
        """Takes a message about work; False when it is none that a server sends."""
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
            self.send(pb.WorkMessage(withdrew=pb.Withdrew(item=identity.wire)))
        elif kind == "ask":
            self._take_question(message.ask)
        elif kind == "plan_over":
            self._take_plan_over(message.plan_over.plan)
        elif kind == "merge_task":
            self._take_merge_task(message.merge_task)
        else:
            return kind not in ("hello", "planned", "result", "failed", "merge_task_done", "holding", "withdrew")
        return True

    def _take_plan(self, message: pb.WorkPlan) -> None:
        if self.is_leaving:
            return
        known = self._plans.get(message.plan)
        if known is not None:
            if known.answer is not None:
                self.send(pb.WorkMessage(planned=known.answer))
            return
        serial = self._next_serial()
        self._plans[message.plan] = _Plan(serial, message.start)
        self.actions.append(Prepare(serial, message))

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
        if len(payloads) != (0 if work.memory else 1):
            self._fail(identity, f"frames come in one part, not in {len(payloads)}", is_udf=False)
        elif work.memory and not self.reads_memory:
            self._fail(identity, "the worker does not read the server's memory", is_udf=False)
        elif work.memory and sum(each.count for each in work.memory) != tile.count:
            self._fail(identity, "the frames in memory are not as many as were told", is_udf=False)
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
            item.size += payloads[0] if payloads else tile.payload_bytes
            self.actions.append(Take(item.serial, tile, work.memory))

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
        self.actions.append(Close(item.serial))

    def _take_question(self, ask: pb.Ask) -> None:
        identity = ItemID.of(ask.item)
        answer = self._answers.get(identity)
        if answer is not None:
            self.send(answer.message, answer.payload)
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
            self.actions.append(Forget(plan.serial, is_over=True))

    def _take_merge_task(self, task: pb.MergeTask) -> None:
        if self.is_leaving:
            return
        plan = self._plans.get(task.plan)
        failure = f"the worker does not have plan {task.plan}" if plan is None else plan.failure
        if plan is None or failure:
            self.send(pb.WorkMessage(merge_task_done=pb.MergeTaskDone(task=task.task, failure=failure)))
            return
        serial = self._next_serial()
        self._tasks.add(serial)
        self.actions.append(Merge(serial, plan.serial, task))

    # What was computed

    def planned(self, serial: int, answer: pb.Planned, is_fault_of_udf: bool) -> None:
        for number, plan in self._plans.items():
            if plan.serial == serial:
                answer.plan = number
                plan.answer, plan.is_fault_of_udf = answer, is_fault_of_udf
                self.send(pb.WorkMessage(planned=answer))
                break
        else:
            return
        if answer.failure:
            for identity in [each for each in self._items if each.plan == number]:
                if self._items[identity].epoch == self.epoch:
                    self._fail(identity, answer.failure, is_udf=is_fault_of_udf)

    def finished(self, serial: int, result: pb.WorkResult, payload: Payload) -> None:
        identity = self._ids.get(serial)
        if identity is not None:
            self._remove(identity)
            result.item.CopyFrom(identity.wire)
            self._answer(identity, _Answer(pb.WorkMessage(result=result), payload, True))

    def failed(self, serial: int, udf: str, why: str, is_udf: bool) -> None:
        identity = self._ids.get(serial)
        if identity is not None:
            self._fail(identity, why, is_udf=is_udf, udf=udf)

    def gone(self, serial: int) -> None:
        identity = self._ids.get(serial)
        if identity is not None:
            self._remove(identity)
            self._tell_holding(identity, False)

    def merged(self, serial: int, done: pb.MergeTaskDone, payload: Payload) -> None:
        if serial in self._tasks:
            self._tasks.remove(serial)
            self.send(pb.WorkMessage(merge_task_done=done), payload)

    # What the connection does

    def connected(self, is_same_session: bool) -> None:
        """Sends again what the server may not have; to another session nothing of the earlier one."""
        if not is_same_session:
            self.drop_all()
            self._answers.clear()
        for answer in self._answers.values():
            self.actions.append(Send(answer.message, answer.payload))

    def disconnected(self) -> None:
        self.reads_memory = False
        for identity in [each for each, item in self._items.items() if not item.is_closed]:
            self._drop(identity)
        self.actions += [Forget(plan.serial, is_over=False) for plan in self._plans.values()]
        self._plans.clear()
        self._tasks.clear()

    def drop_open(self) -> None:
        """Gives back the items whose frames are not all here."""
        for identity in [each for each, item in self._items.items() if not item.is_closed]:
            self._drop(identity)
            self._tell_holding(identity, False)

    def drop_all(self) -> None:
        for identity in list(self._items):
            self._drop(identity)

    def send(self, message: pb.WorkMessage, payload: Payload = ()) -> None:
        if self.is_connected:
            self.actions.append(Send(message, payload))

    # Details

    def _begin(self, identity: ItemID, plan: _Plan) -> _Item:
        item = self._items.get(identity)
        if item is None:
            item = self._items[identity] = _Item(self._next_serial(), self.epoch)
            self._ids[item.serial] = identity
            self.actions.append(Begin(item.serial, identity.partition, plan.serial))
        return item

    def _drop(self, identity: ItemID) -> None:
        item = self._items.get(identity)
        if item is not None:
            self.actions.append(Drop(item.serial))
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
        self.send(answer.message, answer.payload)

    def _tell_holding(self, identity: ItemID, is_whole: bool) -> None:
        self.send(pb.WorkMessage(holding=pb.Holding(item=identity.wire, is_whole=is_whole)))

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial
