"""UDFs written against numpy, on real worker processes of a real server, against numpy on the same frames."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemwire

from . import merlin
from .conftest import Program, Serve, find_binary
from .merlin import Kind
from .workers import WorkerProcess

Start = Callable[..., WorkerProcess]
KIND = Kind("U16", 12)
NAV, SIG = (8, 12), (16, 24)
PARTITION = 8
BASE = ("--threads", "0", "--udf", "none", "--frames-per-partition", str(PARTITION))


@pytest.fixture
def images() -> merlin.Images:
    return merlin.images(NAV, SIG, KIND)


@pytest.fixture
def program(serve: Serve, tmp_path: Path, images: merlin.Images) -> Program:
    """A server without threads of its own."""
    return serve(merlin.record(tmp_path, images, KIND), *BASE)


def spread(images: merlin.Images) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    flat = images.reshape(-1, *SIG).astype(np.float64)
    return flat.std(axis=0), flat.std(axis=(1, 2)).reshape(NAV)


def test_results(program: Program, worker: Start, images: merlin.Images) -> None:
    worker(program, "udfs:Brightest", "udfs:Whole", "spread=udfs:Spread").wait_for("connected")
    flat = images.reshape(-1, *SIG)
    with stemwire.connect(program.address) as connection:
        wanted = {
            "b": stemwire.udf("Brightest", above=3.5),
            "w": "Whole",
            "s": "spread",
            "sum": "sum",
            "sumsig": "sumsig",
        }
        results = connection.run({**wanted, "max": "max"}, timeout=30)
    assert results.complete
    np.testing.assert_array_equal(results["b.intensity"].data, np.maximum(images.max(axis=(2, 3)) - np.float32(3.5), 0))
    np.testing.assert_array_equal(results["b.corner"].data, images[:, :, 0, :2])
    np.testing.assert_array_equal(results["b.peaks"].data, flat.max(axis=0))
    np.testing.assert_array_equal(results["b.least"].data, flat.min(axis=0))
    np.testing.assert_array_equal(results["b.newest"].data, flat[-1])
    assert results["b.frames"].data.tolist() == [len(flat)]
    np.testing.assert_array_equal(results["sum"].data, flat.sum(axis=0))
    np.testing.assert_array_equal(results["sumsig"].data, images.sum(axis=(2, 3)))
    np.testing.assert_array_equal(results["max"].data, flat.max(axis=0))
    pixels, frames = spread(images)
    np.testing.assert_allclose(results["s.spread"].data, pixels, rtol=1e-12)
    np.testing.assert_allclose(results["s.relative"].data, frames / frames.max(), rtol=1e-12)
    ranks = [
        np.argsort(np.argsort(part.sum(axis=(1, 2)), kind="stable")) for part in np.split(flat, len(flat) // PARTITION)
    ]
    np.testing.assert_array_equal(results["w.rank"].data.ravel(), np.concatenate(ranks))
    manifest = results["b.peaks"].manifest
    assert manifest is not None
    assert manifest.frames_processed == len(flat)
    assert sum(manifest.workers.values()) == len(flat) // PARTITION


@pytest.mark.parametrize("killed", [False, True])
def test_any_number_of_workers_gives_the_same_bits(
    program: Program, worker: Start, tmp_path: Path, killed: bool
) -> None:
    flag = tmp_path / "died"
    flag.touch()
    dying = stemwire.udf("Dying", flag=str(flag), at=NAV[0] * NAV[1] // 2)
    udfs = {"slow": stemwire.udf("slow", seconds=0.01), "spread": "spread", "dying": dying}
    names = ("slow=udfs:Slow", "spread=udfs:Spread", "udfs:Dying")
    with stemwire.connect(program.address) as connection:
        first = worker(program, *names)
        first.wait_for("connected")
        alone = connection.run(udfs, timeout=30)
        others = [worker(program, *names) for _ in range(2)]
        for each in others:
            each.wait_for("connected")
        if killed:
            flag.unlink()
        several = connection.run(udfs, timeout=30)
    assert several.complete
    assert list(several) == list(alone)
    for name in alone:
        assert several[name].data.tobytes() == alone[name].data.tobytes(), name
        assert several[name].manifest is not None
    manifest = several["slow.sum"].manifest
    assert manifest is not None
    assert len(manifest.workers) > 1
    died = [each for each in (first, *others) if each.process.poll() == -signal.SIGKILL]
    assert (len(died), manifest.partitions_redone > 0) == (int(killed), killed)


def test_swift_and_python_workers_serve_one_scan(
    program: Program, swift_worker: Callable[[Program], None], worker: Start, images: merlin.Images
) -> None:
    """`sum`, `sumsig` and `max` of both are the same to the server; the UDF of the other run only one of them has."""
    swift_worker(program)
    worker(program, "udfs:Slow").wait_for("connected")
    flat = images.reshape(-1, *SIG)
    shared: set[str] = set()
    with stemwire.connect(program.address) as connection:
        # Who is given how much is the server's business: until one scan was done by both.
        for _ in range(10):
            own = connection.start_run({"slow": stemwire.udf("Slow", seconds=0.0)}, acquisitions=1)
            results = connection.run({"sum": "sum", "sumsig": "sumsig", "max": "max"}, timeout=30)
            deadline = time.monotonic() + 30
            while not (other := connection.snapshot(own)).final:
                assert time.monotonic() < deadline, other
                time.sleep(0.02)
            np.testing.assert_array_equal(results["sum"].data, flat.sum(axis=0))
            np.testing.assert_array_equal(results["sumsig"].data, images.sum(axis=(2, 3)))
            np.testing.assert_array_equal(results["max"].data, flat.max(axis=0))
            np.testing.assert_array_equal(other["slow.total"].data, images.sum(axis=(2, 3)))
            manifests = results["sum"].manifest, other["slow.sum"].manifest
            assert manifests[0] is not None
            assert manifests[1] is not None
            assert len(manifests[1].workers) == 1
            shared = set(manifests[0].workers)
            if len(shared) == 2:
                break
    assert shared >= {"swift"}
    assert len(shared) == 2


@pytest.fixture
def swift_worker() -> Iterator[Callable[[Program], None]]:
    """Starts `stemwire worker` beside a server, and waits until it is connected."""
    started: list[subprocess.Popen[str]] = []

    def start_one(program: Program) -> None:
        binary = find_binary()
        assert binary is not None
        address = f"tcp://127.0.0.1:{program.ports['work_port']}"
        command = [str(binary), "worker", "--connect", address, "--threads", "1", "--name", "swift", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        watchdog = threading.Timer(30.0, process.kill)
        watchdog.start()
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "connected":
                watchdog.cancel()
                return
        raise AssertionError("the worker ended")

    yield start_one
    for each in started:
        each.terminate()
        try:
            each.wait(30)
        finally:
            each.kill()
            assert each.stdout is not None
            each.stdout.close()


@pytest.mark.parametrize("kind", [Kind("R64", 6), Kind("U08", 6), Kind("U32", 24)], ids=str)
def test_pixel_formats(serve: Serve, worker: Start, tmp_path: Path, kind: Kind) -> None:
    shape = (256, 256) if kind.pixel_type == "R64" else SIG
    images = merlin.images((3, 5), shape, kind)
    program = serve(
        merlin.record(tmp_path, images, kind), "--threads", "0", "--udf", "none", "--frames-per-partition", "4"
    )
    worker(program, "udfs:Slow").wait_for("connected")
    with stemwire.connect(program.address) as connection:
        results = connection.run({"s": stemwire.udf("Slow", seconds=0.0), "sum": "sum"}, timeout=30)
    np.testing.assert_array_equal(results["s.total"].data, images.sum(axis=(2, 3), dtype=np.float64))
    np.testing.assert_array_equal(results["sum"].data, images.sum(axis=(0, 1), dtype=np.uint64))


def test_missing_frames(serve: Serve, launch: Any, worker: Start) -> None:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "8", "8", "--wait-trigger", "--faults", "drop-at=5+17+30-40"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "8", "8", "--idle-limit", "0.5", *BASE)
    missing = [4, 16, *range(29, 40)]
    worker(program, "udfs:Brightest", "spread=udfs:Spread").wait_for("connected")
    with stemwire.connect(program.address) as connection:
        results = connection.run({"b": "Brightest", "s": "spread", "sumsig": "sumsig"}, nav_shape=(8, 8), timeout=30)
    assert not results.complete
    for name in ("b.intensity", "s.relative"):
        assert np.flatnonzero(~results[name].valid).tolist() == missing
        assert np.isnan(results[name].data.ravel()[missing]).all()
    assert results["b.frames"].data.tolist() == [64 - len(missing)]


def test_beats_go_out_while_a_udf_computes(serve: Serve, worker: Start, images: merlin.Images, tmp_path: Path) -> None:
    program = serve(merlin.record(tmp_path, images[:1, :4], KIND), *BASE)
    busy = worker(program, "udfs:Busy")
    busy.wait_for("connected")
    with stemwire.connect(program.address) as connection:
        results = connection.run({"b": stemwire.udf("Busy", seconds=4.0)}, timeout=30)
        assert results.complete
        assert [each["event"] for each in busy.events].count("connected") == 1
        assert not [each for each in busy.events if each["event"] == "lost"]


def test_a_failing_udf_is_told_and_costs_only_its_partitions(program: Program, worker: Start) -> None:
    both = [worker(program, "udfs:Failing") for _ in range(2)]
    for each in both:
        each.wait_for("connected")
    with stemwire.connect(program.address) as connection:
        results = connection.run({"f": "Failing"}, timeout=30)
        (run,) = (each for each in connection.runs() if each.run == results.run) if connection.runs() else (None,)
    assert results["f"].valid.ravel().tolist() == [True] * 32 + [False] * 64
    assert run is None or "not to be had" in run.error
    assert (
        "not to be had" in both[0].wait_for("failed")["reason"]
        or "not to be had" in both[1].wait_for("failed")["reason"]
    )


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (stemwire.udf("Brightest", abov=1), r"no parameter abov; it has above \[0.0\]"),
        (stemwire.udf("broken"), "spoilt"),
    ],
)
def test_a_run_that_no_worker_can_do(
    program: Program, worker: Start, tmp_path: Path, request_: stemwire.UDF, why: str
) -> None:
    (tmp_path / "broken.py").write_text("def make():\n    raise ValueError('spoilt')\n")
    worker(program, "udfs:Brightest", "broken=broken:make", options=("--path", str(tmp_path))).wait_for("connected")
    with stemwire.connect(program.address) as connection, pytest.raises(stemwire.RunFailed, match=why):
        connection.run({"b": request_}, timeout=30)


def test_a_worker_leaves_and_another_takes_over(program: Program, worker: Start) -> None:
    first = worker(program, "udfs:Slow")
    first.wait_for("connected")
    with stemwire.connect(program.address) as connection:
        with connection.scan({"s": stemwire.udf("Slow", seconds=0.01)}, timeout=30) as scan:
            updates = scan.updates()
            next(updates)
            assert first.stop() == 0
            told = first.wait_for("left")
            assert told["unfinished"] == 0
            worker(program, "udfs:Slow")
            results = scan.result
    assert results.complete


def test_a_worker_outlives_its_server(
    serve: Serve, launch: Any, worker: Start, images: merlin.Images, tmp_path: Path
) -> None:
    source = merlin.record(tmp_path, images, KIND)
    first = serve(source, *BASE)
    process = worker(first, "udfs:Slow")
    process.wait_for("connected")
    first.stop()
    process.wait_for("lost")
    again = launch(
        *("serve", "--source", str(source), *BASE, "--control-port", "0", "--live-port", "0", "--http-port", "0"),
        *("--work-port", str(first.ports["work_port"])),
    )
    process.wait_for("connected", lambda told: told["epoch"] > 1)
    with stemwire.connect(again.address) as connection:
        assert connection.run({"s": stemwire.udf("Slow", seconds=0.0)}, timeout=30).complete


@pytest.mark.parametrize("kind", [KIND, Kind("R64", 12)], ids=str)
def test_frames_read_in_the_servers_memory_give_the_same(
    serve: Serve, worker: Start, tmp_path: Path, kind: Kind
) -> None:
    sig = SIG if kind is KIND else (256, 256)
    program = serve(merlin.record(tmp_path, merlin.images(NAV, sig, kind), kind), *BASE)
    found = []
    udfs = {"b": stemwire.udf("Brightest", above=3.5), "s": "spread", "sum": "sum", "sumsig": "sumsig"}
    with stemwire.connect(program.address) as connection:
        for options in ((), ("--no-shared-memory",)):
            process = worker(program, "udfs:Brightest", "spread=udfs:Spread", options=options)
            reads = process.wait_for("connected")["reads_memory"]
            assert reads == (not options)
            results = connection.run(udfs, timeout=30)
            assert results.complete
            found.append({name: channel.data.tobytes() for name, channel in results.items()})
            assert process.stop() == 0
    assert found[0] == found[1]


def test_a_worker_that_stood_still_spoils_nothing(serve: Serve, worker: Start, tmp_path: Path) -> None:
    """What it was reading is overwritten when it wakes up, and what it makes of it counts for nothing."""
    images = merlin.images(NAV, (256, 256), KIND)
    program = serve(merlin.record(tmp_path, images, KIND), *BASE, "--ring", "16", "--nav-shape", *map(str, NAV))
    sleepy = worker(program, "udfs:Slow")
    sleepy.wait_for("connected")
    with stemwire.connect(program.address) as connection:
        expected = connection.run(stemwire.udf("Slow", seconds=0.0), timeout=30)
        run = connection.start_run(stemwire.udf("Slow", seconds=0.05), acquisitions=1)
        connection.arm(trigger="soft")
        connection.trigger()
        wait_until(lambda: any(each.positions_processed for each in connection.runs() if each.run == run))
        sleepy.process.send_signal(signal.SIGSTOP)
        try:
            worker(program, "udfs:Slow").wait_for("connected")
            wait_until(lambda: connection.snapshot(run).final)
            results = connection.snapshot(run)
            for _ in range(2):
                connection.run(stemwire.udf("Slow", seconds=0.0), timeout=30)
        finally:
            sleepy.process.send_signal(signal.SIGCONT)
        sleepy.wait_for("connected", lambda told: told["epoch"] > 1)
        again = connection.run(stemwire.udf("Slow", seconds=0.01), timeout=30)
    for each in (results, again):
        np.testing.assert_array_equal(each["Slow.total"].data, images.sum(axis=(2, 3)))
        assert each["Slow.sum"].data.tobytes() == expected["Slow.sum"].data.tobytes()


def wait_until(test: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not test():
        assert time.monotonic() < deadline
        time.sleep(0.02)
