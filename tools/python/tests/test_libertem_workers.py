"""LiberTEM's UDFs, unchanged, on worker processes: the bytes of LiberTEM's inline executor on the same frames in
memory."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemwire

from . import merlin, udfs
from .conftest import Serve
from .merlin import Kind
from .workers import WorkerProcess

lt = pytest.importorskip("libertem.api")
import sparse  # noqa: E402
from libertem.udf.com import CoMUDF  # noqa: E402
from libertem.udf.crystallinity import CrystallinityUDF  # noqa: E402
from libertem.udf.FEM import FEMUDF  # noqa: E402
from libertem.udf.logsum import LogsumUDF  # noqa: E402
from libertem.udf.raw import PickUDF  # noqa: E402
from libertem.udf.stddev import StdDevUDF  # noqa: E402
from libertem.udf.sum import SumUDF  # noqa: E402
from libertem.udf.sumsigudf import SumSigUDF  # noqa: E402

from stemwire.worker import Meta  # noqa: E402

Start = Callable[..., WorkerProcess]
KIND = Kind("U16", 12)
NAV, SIG = (6, 8), (32, 48)
PARTITION = 4
COUNT = NAV[0] * NAV[1] // PARTITION
BASE = ("--threads", "0", "--udf", "none", "--frames-per-partition", str(PARTITION))
SECONDS = 90


@dataclass(frozen=True)
class Case:
    spec: str
    """As on the worker's command line."""
    make: Callable[[Meta], Any]
    """The same UDF here."""
    parameters: Mapping[str, Any]


def cases() -> dict[str, Case]:
    def case(spec: str, make: Callable[..., Any], **parameters: Any) -> Case:
        return Case(spec, lambda meta: make(**parameters), parameters)

    turned = {"cy": 15, "cx": 20.5, "r": 12.5, "ri": 2, "scan_rotation": 33.0, "flip_y": True, "regression": 1}
    fem = {"center": [16, 24], "rad_in": 3, "rad_out": 12}
    crystal = {"rad_in": 3, "rad_out": 10, "real_center": [16, 24], "real_rad": 4}
    found = {
        "sum": case("libertem.udf.sum:SumUDF", SumUDF),
        "sum64": case("libertem.udf.sum:SumUDF", SumUDF, dtype="float64"),
        "sumsig": case("libertem.udf.sumsigudf:SumSigUDF", SumSigUDF),
        "logsum": case("libertem.udf.logsum:LogsumUDF", LogsumUDF),
        "stddev": case("libertem.udf.stddev:StdDevUDF", StdDevUDF),
        "stddev32": case("libertem.udf.stddev:StdDevUDF", StdDevUDF, dtype="float32", use_numba=False),
        "pick": case("libertem.udf.raw:PickUDF", PickUDF),
        "com": case("libertem.udf.com:CoMUDF.with_params", CoMUDF.with_params),
        "com-turned": case("libertem.udf.com:CoMUDF.with_params", CoMUDF.with_params, **turned),
        "fem": case("libertem.udf.FEM:FEMUDF", FEMUDF, **fem),
        "crystallinity": case("libertem.udf.crystallinity:CrystallinityUDF", CrystallinityUDF, **crystal),
        "masks": Case("udfs:virtual_detectors", udfs.virtual_detectors, {}),
        "radial-fourier": Case("udfs:radial_fourier", udfs.radial_fourier, {}),
        "auto": case("udfs:auto", udfs.auto),
        "max": case("udfs:largest", udfs.largest),
        "by-partition": case("udfs:by_partition", udfs.by_partition),
    }
    try:
        from libertem_live.udf.monitor import PartitionMonitorUDF, SignalMonitorUDF
    except ImportError:
        return found
    found["signal-monitor"] = case("libertem_live.udf.monitor:SignalMonitorUDF", SignalMonitorUDF)
    found["partition-monitor"] = case("libertem_live.udf.monitor:PartitionMonitorUDF", PartitionMonitorUDF)
    return found


CASES = cases()
SPECS = tuple(f"lt-{name}={each.spec}" for name, each in CASES.items())


def images() -> merlin.Images:
    return merlin.images(NAV, SIG, KIND).astype(np.uint16)


def meta() -> Any:
    class Shapes:
        sig_shape = SIG

    return Shapes


@pytest.fixture(scope="module")
def offline() -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """What LiberTEM makes of the same frames, partition for partition."""
    context = lt.Context.make_with("inline")
    ds = context.load("memory", data=images(), sig_dims=2, num_partitions=COUNT)
    borders = [(each.slice.origin[0], each.shape[0]) for each in ds.get_partitions()]
    assert borders == [(index * PARTITION, PARTITION) for index in range(COUNT)]
    found = {}
    for name, each in CASES.items():
        results = context.run_udf(ds, each.make(meta()))
        found[name] = {key: np.array(value.data) for key, value in results.items()}
    return found


@pytest.mark.parametrize("workers", ["1", "3", "3, one killed"])
def test_every_udf_gives_the_bytes_of_libertem(
    serve: Serve, worker: Start, tmp_path: Path, offline: dict[str, dict[str, np.ndarray[Any, Any]]], workers: str
) -> None:
    program = serve(merlin.record(tmp_path, images(), KIND), *BASE)
    started = [worker(program, *SPECS, "udfs:Dying") for _ in range(int(workers[0]))]
    for each in started:
        each.wait_for("connected")
    flag = str(tmp_path / "died") if "killed" in workers else ""
    dying = stemwire.udf("Dying", flag=flag, at=COUNT // 2 * PARTITION)
    with stemwire.connect(program.address) as connection:
        runs = {
            name: connection.start_run({"u": stemwire.udf(f"lt-{name}", **each.parameters), "d": dying}, acquisitions=1)
            for name, each in CASES.items()
        }
        connection.arm(trigger="soft")
        connection.trigger()
        found = {name: final(connection, run) for name, run in runs.items()}
    for name, expected in offline.items():
        for channel in found[name].values():
            assert channel.manifest is not None
            assert channel.manifest.frames_processed == COUNT * PARTITION, (name, channel, channel.manifest)
        got = {channel.name: channel.data for channel in found[name].values() if channel.udf == "u"}
        assert set(got) == set(expected), name
        for key, array in expected.items():
            assert got[key].shape == array.shape, (name, key)
            assert np.array_equal(got[key].astype(array.dtype), array, equal_nan=array.dtype.kind in "fc"), (name, key)
    redone = sum(
        each.manifest.partitions_redone for result in found.values() for each in result.values() if each.manifest
    )
    killed = [each for each in started if each.process.poll() == -signal.SIGKILL]
    assert (len(killed), redone > 0) == ((1, True) if "killed" in workers else (0, False))


def final(connection: stemwire.Connection, run: str) -> stemwire.Results:
    deadline = time.monotonic() + SECONDS
    while True:
        with suppress(stemwire.NotFound):
            results = connection.snapshot(run)
            if results.final:
                return results
        assert time.monotonic() < deadline, (run, connection.runs())
        time.sleep(0.05)


def test_several_in_one_pass_with_a_udf_of_numpy(serve: Serve, worker: Start, tmp_path: Path) -> None:
    program = serve(merlin.record(tmp_path, images(), KIND), *BASE)
    worker(program, *SPECS, "udfs:Slow").wait_for("connected")
    context = lt.Context.make_with("inline")
    ds = context.load("memory", data=images(), sig_dims=2, num_partitions=COUNT)
    names = ("sum", "stddev", "com-turned", "masks")
    expected = context.run_udf(ds, [CASES[name].make(meta()) for name in names])
    wanted = {name: stemwire.udf(f"lt-{name}", **CASES[name].parameters) for name in names}
    with stemwire.connect(program.address) as connection:
        results = connection.run({**wanted, "slow": stemwire.udf("Slow", seconds=0.0), "s": "sumsig"}, timeout=SECONDS)
    for name, result in zip(names, expected, strict=True):
        for key in result:
            assert np.array_equal(results[f"{name}.{key}"].data, result[key].data), (name, key)
    np.testing.assert_array_equal(results["s"].data, images().sum(axis=(2, 3)))


@pytest.mark.parametrize("spec", ["libertem.udf.record:RecordUDF", "libertem_live.udf.record:RecordUDF"])
def test_the_recorder_writes_one_file(serve: Serve, worker: Start, tmp_path: Path, spec: str) -> None:
    pytest.importorskip(spec.partition(":")[0])
    program = serve(merlin.record(tmp_path, images(), KIND), *BASE)
    for _ in range(2):
        worker(program, f"lt-record={spec}", "slow=udfs:Slow").wait_for("connected")
    target = tmp_path / "recorded.npy"
    with stemwire.connect(program.address) as connection:
        udf = {"r": stemwire.udf("lt-record", filename=str(target)), "slow": stemwire.udf("slow", seconds=0.01)}
        for _ in range(2):
            results = connection.run(udf, timeout=SECONDS)
            assert results.complete
            manifest = results["slow.sum"].manifest
            assert manifest is not None
            np.testing.assert_array_equal(np.load(target), images())
            assert len(manifest.workers) == 2
    deadline = time.monotonic() + SECONDS
    while [each for each in tmp_path.iterdir() if each.name.startswith(".recorded")]:
        assert time.monotonic() < deadline, list(tmp_path.iterdir())
        time.sleep(0.05)


def test_missing_frames_and_partial_results(serve: Serve, launch: Any, worker: Start) -> None:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "6", "8", "--wait-trigger", "--faults", "drop-at=5+17+30-40"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0", "--dwelltime", "10000"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "6", "8", "--idle-limit", "0.5", *BASE)
    missing = [4, 16, *range(29, 40)]
    worker(program, *SPECS).wait_for("connected")
    with stemwire.connect(program.address) as connection:
        wanted = {
            "com": stemwire.udf("lt-com-turned", **CASES["com-turned"].parameters),
            "sum": "lt-sum",
            "s": "lt-sumsig",
        }
        with connection.scan({**wanted, "exact": "sum", "es": "sumsig"}, nav_shape=NAV, timeout=SECONDS) as scan:
            coverages = [state.coverage for state in scan.updates()]
            results = scan.result
    assert len(coverages) > 2
    assert not results.complete
    assert np.flatnonzero(~results["s"].valid).tolist() == missing
    assert np.array_equal(results["s"].data[results["s"].valid], results["es"].data[results["s"].valid])
    assert np.array_equal(results["sum"].data, results["exact"].data)
    assert np.isfinite(results["com.regression"].data).all()
    assert np.flatnonzero(~results["com.field"].valid).tolist() == missing


def test_geometry_changes_during_the_run(serve: Serve, launch: Any, worker: Start) -> None:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "6", "8", "--wait-trigger", "--dwelltime", "60000"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "6", "8", *BASE)
    worker(program, *SPECS).wait_for("connected")
    with stemwire.connect(program.address) as connection:
        # A run whose UDFs only workers have begins anew with what it is to have, on all that came before.
        wanted = {"vd": stemwire.udf("lt-masks", r=60.0)}
        for _ in range(10):
            with connection.scan({"vd": stemwire.udf("lt-masks", r=20.0)}, nav_shape=NAV, timeout=SECONDS) as scan:
                first = next(scan.updates())
                run = connection.start_run(wanted, acquisitions=1, join_current=True, from_start=True)
            if not any(each.acquisitions_left for each in connection.runs() if each.run == run):
                break
            # On a busy machine the scan was over before the run began.
            connection.stop_run(run)
        assert first.coverage < 1
        results = final(connection, run)
        assert results.complete
        alone = connection.run(wanted, nav_shape=NAV, timeout=SECONDS)
    np.testing.assert_array_equal(results["vd"].data, alone["vd"].data)


def test_region_of_interest_and_corrections(serve: Serve, worker: Start, tmp_path: Path) -> None:
    program = serve(merlin.record(tmp_path, images(), KIND), *BASE)
    for _ in range(2):
        worker(program, *SPECS, "udfs:Slow").wait_for("connected")
    dice = np.random.default_rng(7)
    roi = dice.random(NAV) < 0.4
    dark, gain = dice.random(SIG).astype(np.float32), dice.random(SIG) + 0.5
    excluded = np.zeros(SIG, bool)
    excluded[0, 0] = excluded[10, 20] = excluded[10, 21] = True
    context = lt.Context.make_with("inline")
    ds = context.load("memory", data=images(), sig_dims=2, num_partitions=COUNT)
    correct = lt.CorrectionSet(dark=dark, gain=gain, excluded_pixels=sparse.COO.from_numpy(excluded))
    names = ("pick", "stddev", "com-turned", "sumsig")
    with stemwire.connect(program.address) as connection:
        for name in names:
            wanted = {"u": stemwire.udf(f"lt-{name}", **CASES[name].parameters)}
            corrections = stemwire.Corrections(dark, gain, excluded)
            results = connection.run(wanted, roi=roi, corrections=corrections, timeout=SECONDS)
            expected = context.run_udf(ds, CASES[name].make(meta()), roi=roi, corrections=correct)
            for key, value in expected.items():
                # LiberTEM puts what a region of interest has into an array of the declared type.
                got = results[f"u.{key}"].data.astype(value.data.dtype)
                assert np.array_equal(got, value.data, equal_nan=True), (name, key)
        sums = connection.run({"s": stemwire.udf("Slow", seconds=0.0)}, roi=roi, timeout=SECONDS)
    np.testing.assert_array_equal(sums["s.total"].data[roi], images().sum(axis=(2, 3))[roi])
    np.testing.assert_array_equal(sums["s.total"].valid, roi)
