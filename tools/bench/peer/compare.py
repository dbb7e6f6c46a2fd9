"""Runs Stemwire, LiberTEM and a plain reader in turn on the same detector or file, and prints the ratios."""

from __future__ import annotations

import argparse
import fnmatch
import json
import multiprocessing
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from peer import LiveMeasurement, OfflineMeasurement, serve
from plain_reader import drain
from workloads import FRAME_SHAPE, MASK_FILE, NAV_SHAPE, WORKLOADS, Workload, dense_masks

from detector_operator import DetectorPorts
from merlin_files import write_data_set
from merlin_formats import MerlinFormat
from simulators import StemwireSimulator

RUN_SECONDS = 120
FRAMES = NAV_SHAPE[0] * NAV_SHAPE[1]
NAV_OPTION = ("--nav-shape", *map(str, NAV_SHAPE))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stemwire", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="*", help="workloads whose name fits, such as 'sum*'")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    workloads = [workload for workload in WORKLOADS if fnmatch.fnmatch(workload.name, arguments.only)]
    with tempfile.TemporaryDirectory(prefix="stemwire-compare-") as name:
        folder = Path(name)
        np.save(folder / MASK_FILE, dense_masks())
        with peer_process(folder) as ask:
            met = compare_live(arguments.stemwire, workloads, arguments.rounds, folder, ask)
            met = compare_file(arguments.stemwire, workloads, arguments.rounds, folder, ask) and met
    return 0 if met else 1


def compare_live(
    stemwire: Path, workloads: list[Workload], rounds: int, folder: Path, ask: Callable[[object], float]
) -> bool:
    print(f"live, U16 {FRAME_SHAPE[0]} × {FRAME_SHAPE[1]}, {FRAMES} frames a scan; frames per second, medians of {rounds}")
    print(f"{'':<14}{'stemwire':>10}{'LiberTEM':>10}{'ratio':>8}{'goal':>6}{'plain':>10}{'ratio':>8}{'goal':>6}")
    met = True
    simulator = StemwireSimulator(stemwire, folder)
    with simulator("constant:1000", *NAV_OPTION, "--cached", "memory", "--wait-trigger") as ports:
        for workload in workloads:
            ours, theirs, plain = [], [], []
            for number in range(rounds + 1):
                measured = (
                    run_live(stemwire, ports, workload, folder),
                    ask(LiveMeasurement(ports, workload.name)),
                    drain(ports, FRAMES),
                )
                # The first round warms up.
                if number > 0:
                    for rates, rate in zip((ours, theirs, plain), measured, strict=True):
                        rates.append(rate)
            met = print_row(workload, ours, theirs, plain) and met
    return met


def compare_file(
    stemwire: Path, workloads: list[Workload], rounds: int, folder: Path, ask: Callable[[object], float]
) -> bool:
    (folder / "file").mkdir()
    data_set = write_data_set(folder / "file", MerlinFormat("U16", 12, "1x1"), NAV_SHAPE, 1)
    print(f"\nfrom a cached file of the same shape; frames per second, medians of {rounds}")
    print(f"{'':<14}{'stemwire':>10}{'inline':>10}{'ratio':>8}{'goal':>6}{'default':>10}{'ratio':>8}{'goal':>6}")
    met = True
    for workload in workloads:
        ours, inline, default = [], [], []
        for number in range(rounds + 1):
            measured = (
                run_file(stemwire, data_set.header_path, workload, folder),
                ask(OfflineMeasurement(data_set.header_path, workload.name, "inline")),
                ask(OfflineMeasurement(data_set.header_path, workload.name, "default")),
            )
            if number > 0:
                for rates, rate in zip((ours, inline, default), measured, strict=True):
                    rates.append(rate)
        rates = [statistics.median(values) for values in (ours, inline, default)]
        ratios = [rates[0] / rate for rate in rates[1:]]
        met = met and all(ratio >= workload.file_goal for ratio in ratios)
        cells = "".join(f"{rate:>10.0f}{ratio:>8.2f}{workload.file_goal:>6}" for rate, ratio in zip(rates[1:], ratios, strict=True))
        print(f"{workload.name:<14}{rates[0]:>10.0f}{cells}", flush=True)
    return met


def print_row(workload: Workload, ours: list[float], theirs: list[float], plain: list[float]) -> bool:
    mine, peer, bare = (statistics.median(rates) for rates in (ours, theirs, plain))
    goal = "" if workload.plain_goal is None else f"{workload.plain_goal}"
    print(
        f"{workload.name:<14}{mine:>10.0f}{peer:>10.0f}{mine / peer:>8.2f}{workload.peer_goal:>6}"
        f"{bare:>10.0f}{mine / bare:>8.2f}{goal:>6}",
        flush=True,
    )
    return mine / peer >= workload.peer_goal and mine / bare >= (workload.plain_goal or 0)


def run_live(stemwire: Path, ports: DetectorPorts, workload: Workload, folder: Path) -> float:
    source = f"merlin://{ports.host}:{ports.control},{ports.data}"
    return run(stemwire, source, workload, folder, "--trigger", "soft", *NAV_OPTION)


def run_file(stemwire: Path, header: Path, workload: Workload, folder: Path) -> float:
    return run(stemwire, str(header), workload, folder, *NAV_OPTION)


def run(stemwire: Path, source: str, workload: Workload, folder: Path, *options: str) -> float:
    """Frames per second, from the first frame to the final result."""
    udfs = [word for udf in workload.stemwire for word in ("--udf", udf.format(folder=folder))]
    done = subprocess.run(
        [str(stemwire), "run", source, *udfs, "--json", "--timeout", str(RUN_SECONDS), *options],
        capture_output=True, text=True, check=False, timeout=RUN_SECONDS + 10,
    )
    if done.returncode != 0:
        raise RuntimeError(f"stemwire run {source} ended with {done.returncode}: {done.stderr[-600:]}")
    record = json.loads(done.stdout)
    return float(FRAMES / record["seconds_to_result"])


@contextmanager
def peer_process(folder: Path) -> Iterator[Callable[[object], float]]:
    """LiberTEM in a process of its own; it is asked for measurements."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs, str(folder)))
    process.start()
    theirs.close()

    def ask(measurement: object) -> float:
        ours.send(measurement)
        if not ours.poll(RUN_SECONDS):
            raise TimeoutError(f"LiberTEM was not done within {RUN_SECONDS} s")
        answer = ours.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"LiberTEM failed:\n{answer}")
        return float(answer)

    try:
        yield ask
    finally:
        ours.close()
        process.join(10)
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
