"""A LiberTEM UDF through one Python worker against the same UDF in LiberTEM's inline executor on the same data in
memory.

    bench/worker.py [--frames N] [--side PIXELS] [--rounds N] [UDF …]

Needs LiberTEM and a stemwire binary (STEMWIRE_BINARY, or a release build). Both sides have the frames in memory:
LiberTEM as an array, the server in its ring, from an acquisition that goes on. They are measured in turn; the
figures are the medians. The worker's time runs from when it is ready for the first
partition to the merge of the last.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from libertem.api import Context
from libertem.executor.inline import InlineJobExecutor
from tests import merlin
from tests.conftest import Program, start
from tests.workers import WorkerProcess, start_worker

import stemwire

SECONDS = 60.0
UDFS = {
    "sum": ("libertem.udf.sum:SumUDF", {}),
    "sumsig": ("libertem.udf.sumsigudf:SumSigUDF", {}),
    "stddev": ("libertem.udf.stddev:StdDevUDF", {}),
    "com": ("libertem.udf.com:CoMUDF.with_params", {}),
    "logsum": ("libertem.udf.logsum:LogsumUDF", {}),
}


def make(name: str) -> Any:
    import importlib

    spec, parameters = UDFS[name]
    module, _, path = spec.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found(**parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("udfs", nargs="*", default=list(UDFS))
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--partition", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    columns = 64
    nav, sig = (options.frames // columns, columns), (options.side, options.side)
    images = np.random.default_rng(1).integers(0, 16, (*nav, *sig), np.uint16)
    size = images.nbytes / 1e6
    context = Context(executor=InlineJobExecutor(inline_threads=1))
    count = -(-options.frames // options.partition)
    data_set = context.load("memory", data=images, sig_dims=2, num_partitions=count)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), images, options.partition) as server:
        worker = start_worker(server, *(f"lt-{name}={UDFS[name][0]}" for name in options.udfs))
        try:
            worker.wait_for("connected")
            with stemwire.connect(server.address) as connection:
                held(connection, options.frames)
                for name in options.udfs:
                    compare(context, data_set, connection, worker, name, size, options.rounds)
        finally:
            worker.stop()


@contextmanager
def running(folder: Path, images: np.ndarray[Any, Any], partition: int) -> Iterator[Program]:
    """A server whose acquisition goes on: the detector owes it one more scan line."""
    lines, columns = images.shape[:2]
    source = merlin.record(folder, np.concatenate([images, images[:1]]), merlin.Kind("U16", 12))
    first = lines * columns + 1
    ports = ("--control-port", "0", "--data-port", "0")
    missing = ("--faults", f"drop-at={first}-{first + columns - 1}")
    with stopping(start("sim", str(source), "--wait-trigger", "--trigger-port", "0", *missing, *ports)) as simulator:
        detector = f"merlin://127.0.0.1:{simulator.ports['control_port']},{simulator.ports['data_port']}"
        options = (
            "--threads",
            "0",
            "--udf",
            "none",
            "--no-viewer",
            "--updates",
            "100",
            "--idle-limit",
            "3600",
            "--stop-timeout",
            "1",
        )
        sizes = ("--ring", f"{(images.nbytes * 2 >> 20) + 256}", "--frames-per-partition", str(partition))
        nav = ("--nav-shape", str(lines + 1), str(columns), "--live-port", "0", "--work-port", "0")
        with stopping(start("serve", "--source", detector, *options, *sizes, *nav, "--control-port", "0")) as server:
            yield server


@contextmanager
def stopping(program: Program) -> Iterator[Program]:
    try:
        yield program
    finally:
        program.stop()


def held(connection: stemwire.Connection, frames: int) -> None:
    """Acquires, until the server has so many frames in its memory."""
    connection.arm(trigger="soft")
    connection.trigger()
    deadline = time.monotonic() + SECONDS
    while (acquisition := connection.status().acquisition) is None or acquisition.accounting.placed < frames:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the frames did not come within {SECONDS:g} s: {acquisition}")
        time.sleep(0.05)


def through_worker(
    connection: stemwire.Connection, worker: WorkerProcess, name: str, frames: int, at_least: float
) -> float:
    """Seconds from when the worker is ready for the first partition to the merge of the last one.

    That is not asked for before `at_least`: questions cost both sides time.
    """
    run = connection.start_run({"u": stemwire.udf(f"lt-{name}")}, join_current=True, from_start=True)
    worker.wait_for("planned", lambda told: told["run"] == run)
    begun = time.perf_counter()
    time.sleep(at_least)
    while True:
        (state,) = (each for each in connection.runs() if each.run == run)
        if state.error or time.perf_counter() - begun > SECONDS:
            raise RuntimeError(state.error or f"not done within {SECONDS:g} s: {state}")
        if state.positions_processed >= frames:
            took = time.perf_counter() - begun
            connection.stop_run(run)
            return took
        time.sleep(0.002)


def compare(
    context: Any, data_set: Any, connection: Any, worker: WorkerProcess, name: str, size: float, rounds: int
) -> None:
    inline, through = [], []
    used: list[tuple[float, float]] = []
    frames = int(data_set.shape.nav.size)
    shortest = 0.0
    # The first time of each compiles.
    for turn in range(rounds + 1):
        begun, processor = time.perf_counter(), time.process_time()
        context.run_udf(data_set, make(name))
        middle, processor = time.perf_counter(), time.process_time() - processor
        before = processor_time(worker)
        took = through_worker(connection, worker, name, frames, 0.8 * shortest)
        shortest = min(shortest, took) if shortest else took
        if turn:
            inline.append(size / (middle - begun))
            through.append(size / took)
            used.append((processor_time(worker) - before, processor))
    own, theirs = statistics.median(through), statistics.median(inline)

    def cost(side: int) -> float:
        return statistics.median(each[side] for each in used) / (size / 1e3)

    print(
        f"{name:10} worker {own:7.0f} MB/s   inline executor {theirs:7.0f} MB/s   ratio {own / theirs:.2f}   "
        f"processor time a GB: worker {cost(0):.2f} s, inline executor {cost(1):.2f} s",
        flush=True,
    )


def processor_time(worker: WorkerProcess) -> float:
    """Seconds, of all its threads; what a busy machine does not change much."""
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
