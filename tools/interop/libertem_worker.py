"""LiberTEM-live, unmodified, as a detector's client; runs in a process of its own that can be ended from outside.

LiberTEM's waits for a detector cannot be interrupted from Python, so `libertem_client` starts this process, gives it
one job at a time and ends it when a job is late.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from detector_operator import DetectorPorts, Operator, Trigger

if TYPE_CHECKING:
    from libertem_live.api import LiveContext


@dataclass(frozen=True)
class LiveJob:
    """Acquisitions to take one after another, with sum and sumsig of each."""

    ports: DetectorPorts
    mode: Literal["active", "passive"]
    trigger: Trigger
    """`none`: the detector sends by itself. `soft`: STARTACQUISITION, SOFTTRIGGER. `socket`: the simulators' own."""
    nav_shape: tuple[int, int] | None
    """None (passive mode only) leaves it to what LiberTEM reads from the acquisition header."""
    frames: int
    frames_per_trigger: int
    continuous: bool = True
    """No pause between frames, which counters of 24 bits cannot do."""
    acquisitions: int = 1
    frames_per_partition: int = 7
    """Not a divisor of the scan line: partitions end anywhere."""
    drain: bool = False
    settings: Mapping[str, float] = field(default_factory=dict)
    """SET on the control socket before the first acquisition."""
    rest_seconds: float = 0.0
    """Pause before each acquisition."""
    seconds: float = 20.0
    """How long to wait for an acquisition to begin in passive mode."""


@dataclass(frozen=True)
class OfflineJob:
    """Read a data set with LiberTEM's own file reader and give back every image."""

    header_path: Path


@dataclass(frozen=True)
class CorrectionFiles:
    """Images (y, x) as .npy files; `excluded` is a mask."""

    dark: Path | None = None
    gain: Path | None = None
    excluded: Path | None = None


@dataclass(frozen=True)
class UDFJob:
    """Run one of `libertem_udfs` on a data set."""

    header_path: Path
    name: str
    mask_path: Path
    corrections: CorrectionFiles | None = None


@dataclass(frozen=True)
class LiveResult:
    sum: NDArray[np.float64]
    sumsig: NDArray[np.float64]
    nav_shape: tuple[int, ...]
    hook_calls: int
    frames_announced: int | None
    """As LiberTEM read it from the acquisition header (passive mode)."""
    trigger_answer: str | None
    """What the simulator's trigger socket said after the frames were sent."""


@dataclass(frozen=True)
class JobFailure:
    text: str


def serve(jobs: Connection, temporary_folder: str) -> None:
    """Answers jobs until the other end closes."""
    os.setsid()
    os.environ["TMPDIR"] = temporary_folder
    # LiberTEM's readers of single and quad files break each other when numba loads both from its cache: an empty one.
    os.environ["NUMBA_CACHE_DIR"] = temporary_folder
    from libertem_live.api import LiveContext

    context = LiveContext()
    try:
        jobs.send("ready")
        while True:
            try:
                job = jobs.recv()
            except EOFError:
                return
            try:
                jobs.send(_answer(context, job))
            except Exception:
                jobs.send(JobFailure(traceback.format_exc()))
    finally:
        context.close()


def _answer(context: LiveContext, job: LiveJob | OfflineJob | UDFJob) -> Any:
    if isinstance(job, OfflineJob):
        return read_offline(job)
    if isinstance(job, UDFJob):
        return run_udf(job)
    return acquire(context, job)


def acquire(context: LiveContext, job: LiveJob) -> list[LiveResult]:
    if job.settings:
        with job.ports.open_control() as control:
            for name, value in job.settings.items():
                control.set(name, value)
    connection = context.make_connection("merlin").open(
        api_host=job.ports.host,
        api_port=job.ports.control,
        data_host=job.ports.host,
        data_port=job.ports.data,
        drain=job.drain,
    )
    with connection:
        acquire_one = _acquire_active if job.mode == "active" else _acquire_passive
        results = []
        for _ in range(job.acquisitions):
            time.sleep(job.rest_seconds)
            results.append(acquire_one(context, connection, job))
        return results


def _acquire_active(context: LiveContext, connection: Any, job: LiveJob) -> LiveResult:
    from libertem_live.hooks import Hooks, ReadyForDataEnv

    operator = Operator(job)

    class ArmAndTrigger(Hooks):  # type: ignore[misc]
        calls = 0

        def on_ready_for_data(self, env: ReadyForDataEnv) -> None:
            self.calls += 1
            operator.arm_and_trigger()

    hooks = ArmAndTrigger()
    acquisition = context.make_acquisition(
        conn=connection, nav_shape=job.nav_shape, frames_per_partition=job.frames_per_partition, hooks=hooks
    )
    arrays = _run(context, acquisition)
    return LiveResult(*arrays, tuple(acquisition.shape.nav), hooks.calls, None, operator.trigger_answer())


def _acquire_passive(context: LiveContext, connection: Any, job: LiveJob) -> LiveResult:
    # Somebody else arms and triggers, while this thread waits for the acquisition to begin.
    operator = Operator(job)
    with ThreadPoolExecutor(1) as elsewhere:
        armed = elsewhere.submit(operator.arm_and_trigger_for_reader)
        pending = connection.wait_for_acquisition(timeout=job.seconds)
        armed.result(timeout=job.seconds)
    if pending is None:
        raise TimeoutError(f"no acquisition began within {job.seconds:g} s")
    acquisition = context.make_acquisition(
        conn=connection, nav_shape=job.nav_shape, frames_per_partition=job.frames_per_partition, pending_aq=pending
    )
    arrays = _run(context, acquisition)
    return LiveResult(*arrays, tuple(acquisition.shape.nav), 0, pending.nimages, operator.trigger_answer())


def _run(context: LiveContext, acquisition: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from libertem.udf.sum import SumUDF
    from libertem.udf.sumsigudf import SumSigUDF

    # LiberTEM's default float32 holds integers up to 2^24 only; its UDFs of one run share one type.
    results = context.run_udf(dataset=acquisition, udf=[SumUDF(dtype="float64"), SumSigUDF()])
    sum_, sumsig = (np.array(result["intensity"].data) for result in results)
    if not sum_.dtype == sumsig.dtype == np.float64:
        raise TypeError(f"LiberTEM computed in {sum_.dtype} and {sumsig.dtype}, not in float64")
    return sum_, sumsig


def read_offline(job: OfflineJob) -> NDArray[np.float64]:
    """Images (nav y, nav x, y, x)."""
    from libertem.api import Context
    from libertem.executor.inline import InlineJobExecutor
    from libertem.udf import UDF

    class Frames(UDF):  # type: ignore[misc]
        def get_result_buffers(self) -> dict[str, Any]:
            shape = tuple(self.meta.dataset_shape.sig)
            return {"frames": self.buffer(kind="nav", extra_shape=shape, dtype=np.float64)}

        def get_preferred_input_dtype(self) -> Any:
            return np.float64

        def process_frame(self, frame: NDArray[np.float64]) -> None:
            self.results.frames[:] = frame

    context = Context(executor=InlineJobExecutor())
    dataset = _load(context, job.header_path)
    return np.array(context.run_udf(dataset=dataset, udf=Frames())["frames"].data)


def run_udf(job: UDFJob) -> dict[str, NDArray[Any]]:
    """The UDF's results by LiberTEM's names."""
    from libertem.api import Context
    from libertem.executor.inline import InlineJobExecutor

    from libertem_udfs import make_udf, region_of_interest, results_of

    context = Context(executor=InlineJobExecutor())
    dataset = _load(context, job.header_path)
    udf = make_udf(job.name, dataset, job.mask_path)
    roi = region_of_interest(job.name, tuple(dataset.shape.nav))
    results = context.run_udf(dataset=dataset, udf=udf, roi=roi, corrections=_corrections(job.corrections))
    return results_of(job.name, results, dataset, job.mask_path, roi)


def _corrections(files: CorrectionFiles | None) -> Any:
    from libertem.io.corrections import CorrectionSet

    if files is None:
        return None
    images = [None if path is None else np.load(path) for path in (files.dark, files.gain, files.excluded)]
    return CorrectionSet(dark=images[0], gain=images[1], excluded_pixels=images[2])


def _load(context: Any, header_path: Path) -> Any:
    from libertem.io.dataset.base import BufferedBackend

    # The default, memory-mapped back-end of LiberTEM 0.16 fails on most 1-bit raw files.
    return context.load("mib", path=str(header_path), io_backend=BufferedBackend())
