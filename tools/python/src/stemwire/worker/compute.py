"""The thread that runs UDFs. The connection's thread gives it work and takes what it made."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .._wire import stemwire_pb2 as pb
from ..frames import Tile
from .engine import Plan, UDFFailure
from .memory import LentTile
from .offers import Offer
from .plans import Array, PlanError, PlanRequest

_FIRST, _LATER = 0, 1


@dataclass(frozen=True)
class PlannedReport:
    plan: int
    answer: pb.Planned
    is_fault_of_udf: bool = True


@dataclass(frozen=True)
class FinishedReport:
    item: int
    result: pb.WorkResult
    payload: Sequence[Array]


@dataclass(frozen=True)
class FailedReport:
    item: int
    udf: str
    why: str
    is_udf: bool


@dataclass(frozen=True)
class GoneReport:
    """The server has let go of frames of an item while they were read."""

    item: int


@dataclass(frozen=True)
class MergedReport:
    task: int
    done: pb.MergeTaskDone
    payload: Sequence[Array]


Report: TypeAlias = PlannedReport | FinishedReport | FailedReport | GoneReport | MergedReport


@dataclass
class _Item:
    partition: int
    plan: int
    tiles: list[Tile] = field(default_factory=list)


class ComputeThread:
    """All methods but `stop` from the connection's thread."""

    def __init__(self, offers: Mapping[str, Offer], threads: int, wake: Callable[[], None]) -> None:
        self._offers = offers
        self._threads = threads
        self._wake = wake
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._count = itertools.count()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._items: dict[int, _Item] = {}
        # Of the thread itself.
        self._plans: dict[int, Plan] = {}
        self._unwanted: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="stemwire-compute", daemon=True)
        self._thread.start()

    def prepare(self, plan: int, message: pb.WorkPlan, parts: Sequence[memoryview]) -> None:
        self._put(_FIRST, lambda: self._prepare(plan, message, parts))

    def forget(self, plan: int, is_over: bool) -> None:
        # Behind the items that are still computed.
        self._put(_LATER, lambda: self._forget(plan, is_over))

    def begin(self, item: int, partition: int, plan: int) -> None:
        self._items[item] = _Item(partition, plan)

    def take(self, item: int, tiles: Sequence[Tile]) -> None:
        self._items[item].tiles.extend(tiles)

    def close(self, item: int) -> None:
        """Computes the item; frames wait until all are here, since the order of the work decides about the bits."""
        ready = self._items.pop(item)
        self._put(_LATER, lambda: self._process(item, ready))

    def drop(self, item: int) -> None:
        if self._items.pop(item, None) is None:
            self._unwanted.add(item)

    def merge(self, task: int, plan: int, message: pb.MergeTask, parts: Sequence[memoryview]) -> None:
        # The server waits for it.
        self._put(_FIRST, lambda: self._merge(task, plan, message, parts))

    def reports(self) -> list[Report]:
        made = []
        while True:
            try:
                made.append(self._reports.get_nowait())
            except queue.Empty:
                return made

    def stop(self, patience: float) -> bool:
        """Whether the thread has ended within `patience` seconds; else it does when its computation is done."""
        self._put(_FIRST, None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _put(self, urgency: int, job: Callable[[], None] | None) -> None:
        self._jobs.put((urgency, next(self._count), job))

    # On the thread

    def _run(self) -> None:
        while True:
            _, _, job = self._jobs.get()
            if job is None:
                return
            job()
            # It holds frames.
            del job

    def _report(self, report: Report) -> None:
        self._reports.put(report)
        self._wake()

    def _prepare(self, serial: int, message: pb.WorkPlan, parts: Sequence[memoryview]) -> None:
        try:
            plan = Plan(PlanRequest.read(message, parts), self._offers, self._threads)
        except PlanError as error:
            self._report(PlannedReport(serial, pb.Planned(failure=str(error)), error.is_fault_of_udf))
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            self._report(PlannedReport(serial, pb.Planned(failure=failure)))
        else:
            self._plans[serial] = plan
            self._report(PlannedReport(serial, pb.Planned(udfs=plan.planned)))

    def _forget(self, serial: int, is_over: bool) -> None:
        plan = self._plans.pop(serial, None)
        if plan is not None:
            plan.close(is_over)

    def _process(self, serial: int, item: _Item) -> None:
        if serial in self._unwanted:
            self._unwanted.discard(serial)
            return None
        plan = self._plans.get(item.plan)
        if plan is None:
            return self._report(FailedReport(serial, "", "the plan cannot be done here", False))
        begun = time.perf_counter()
        try:
            result, payload = plan.process(item.partition, item.tiles)
        except Exception as error:
            # Whoever was reading then may have wrapped it in an error of its own.
            if any(isinstance(tile, LentTile) and not tile.is_intact for tile in item.tiles):
                return self._report(GoneReport(serial))
            return self._report(_failure(serial, error))
        result.seconds = time.perf_counter() - begun
        return self._report(FinishedReport(serial, result, payload))

    def _merge(self, serial: int, plan: int, task: pb.MergeTask, parts: Sequence[memoryview]) -> None:
        known = self._plans.get(plan)
        if known is None:
            failure = pb.MergeTaskDone(task=task.task, failure="the plan cannot be done here")
            return self._report(MergedReport(serial, failure, ()))
        return self._report(MergedReport(serial, *known.merge(task, parts)))


def _failure(item: int, error: Exception) -> FailedReport:
    if isinstance(error, UDFFailure):
        return FailedReport(item, error.udf, str(error), True)
    return FailedReport(item, "", f"{type(error).__name__}: {error}", False)
