"""LiberTEM's side of the comparison, in a process of its own that stays warm."""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workloads import NAV_SHAPE, WORKLOADS

from detector_operator import DetectorPorts

if TYPE_CHECKING:
    from libertem_live.api import LiveContext


@dataclass(frozen=True)
class LiveMeasurement:
    ports: DetectorPorts
    workload: str


@dataclass(frozen=True)
class OfflineMeasurement:
    header: Path
    workload: str
    executor: Literal["inline", "default"]


def serve(jobs: Connection, temporary_folder: str) -> None:
    """Answers with frames per second, or with what went wrong, until the other end closes."""
    os.environ["NUMBA_CACHE_DIR"] = temporary_folder
    contexts = Contexts()
    try:
        while True:
            try:
                job = jobs.recv()
            except EOFError:
                return
            try:
                jobs.send(contexts.measure(job))
            except Exception:
                jobs.send(traceback.format_exc())
    finally:
        contexts.close()


class Contexts:
    """Made when they are needed first, and kept."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def measure(self, job: LiveMeasurement | OfflineMeasurement) -> float:
        udfs = next(workload for workload in WORKLOADS if workload.name == job.workload).libertem()
        if isinstance(job, LiveMeasurement):
            return _live(self._get("live"), job, udfs)
        return _offline(self._get(job.executor), job, udfs)

    def close(self) -> None:
        for context in self._made.values():
            context.close()

    def _get(self, kind: str) -> Any:
        if kind not in self._made:
            self._made[kind] = _make(kind)
        return self._made[kind]


def _make(kind: str) -> Any:
    if kind == "live":
        from libertem_live.api import LiveContext

        return LiveContext()
    from libertem.api import Context

    return Context.make_with("inline") if kind == "inline" else Context()


def _live(context: LiveContext, job: LiveMeasurement, udfs: list[Any]) -> float:
    from libertem_live.hooks import Hooks, ReadyForDataEnv

    frames = NAV_SHAPE[0] * NAV_SHAPE[1]
    triggered = 0.0

    class ArmAndTrigger(Hooks):  # type: ignore[misc]
        def on_ready_for_data(self, env: ReadyForDataEnv) -> None:
            nonlocal triggered
            with job.ports.open_control() as control:
                control.set("NUMFRAMESTOACQUIRE", frames)
                control.set("NUMFRAMESPERTRIGGER", frames)
                control.set("TRIGGERSTART", 5)
                control.cmd("STARTACQUISITION")
                triggered = time.perf_counter()
                control.cmd("SOFTTRIGGER")

    connection = context.make_connection("merlin").open(
        api_host=job.ports.host, api_port=job.ports.control, data_host=job.ports.host, data_port=job.ports.data
    )
    with connection:
        acquisition = context.make_acquisition(conn=connection, nav_shape=NAV_SHAPE, hooks=ArmAndTrigger())
        context.run_udf(dataset=acquisition, udf=udfs)
        return frames / (time.perf_counter() - triggered)


def _offline(context: Any, job: OfflineMeasurement, udfs: list[Any]) -> float:
    data_set = context.load("mib", path=str(job.header), nav_shape=NAV_SHAPE)
    begun = time.perf_counter()
    context.run_udf(dataset=data_set, udf=udfs)
    return NAV_SHAPE[0] * NAV_SHAPE[1] / (time.perf_counter() - begun)
