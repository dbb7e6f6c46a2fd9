"""LiberTEM's own UDFs on frames that are fetched, against numpy and against LiberTEM on the same frames in memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemwire

from . import merlin
from .conftest import Program, Serve, final_results
from .merlin import Kind

lt = pytest.importorskip("libertem.api")
from libertem.io.dataset.base import DataSetException  # noqa: E402
from libertem.udf.com import CoMUDF  # noqa: E402
from libertem.udf.masks import ApplyMasksUDF  # noqa: E402
from libertem.udf.stddev import StdDevUDF  # noqa: E402
from libertem.udf.sum import SumUDF  # noqa: E402
from libertem.udf.sumsigudf import SumSigUDF  # noqa: E402

import stemwire.libertem  # noqa: E402


@pytest.fixture(scope="module")
def context() -> lt.Context:
    return lt.Context.make_with("inline")


def acquire(connection: stemwire.Connection) -> None:
    updates = connection.updates(timeout=10)
    connection.arm(trigger="soft")
    connection.trigger()
    for _ in updates:
        pass


@pytest.mark.parametrize(
    ("kind", "sig_shape"),
    [(Kind("U16", 12), (32, 48)), (Kind("R64", 6), (256, 256)), (Kind("U32", 24), (32, 48))],
    ids=str,
)
@pytest.mark.parametrize("partitions", [1, 3])
def test_udfs(
    context: lt.Context, serve: Serve, tmp_path: Path, kind: Kind, sig_shape: tuple[int, int], partitions: int
) -> None:
    images = merlin.images((3, 5), sig_shape, kind)
    program = serve(merlin.record(tmp_path, images, kind))
    with stemwire.connect(program.address) as connection:
        acquire(connection)
    ds = context.load("stemwire", address=program.address, num_partitions=partitions)
    assert tuple(ds.shape) == images.shape
    assert len(list(ds.get_partitions())) == partitions
    memory = context.load("memory", data=images.astype(ds.dtype), sig_dims=2, num_partitions=partitions)
    mask = np.random.default_rng(1).random(sig_shape)
    roi = np.zeros((3, 5), bool)
    roi[0, 1:3] = roi[1, 4] = roi[2, 0] = True
    for chosen in (None, roi):
        udfs = [SumUDF(), SumSigUDF(), ApplyMasksUDF(mask_factories=[lambda: mask]), StdDevUDF(), CoMUDF.with_params()]
        fetched = context.run_udf(ds, udfs, roi=chosen)
        expected = context.run_udf(memory, udfs, roi=chosen)
        for ours, theirs in zip(fetched, expected, strict=True):
            for name in theirs:
                np.testing.assert_allclose(ours[name].raw_data, theirs[name].raw_data, rtol=1e-5, err_msg=name)
        frames = images if chosen is None else images[chosen]
        total = frames.reshape(-1, *sig_shape).sum(axis=0)
        np.testing.assert_allclose(fetched[0]["intensity"].data, total, rtol=1e-6)


@pytest.mark.parametrize("executor", ["pipelined", "dask"])
def test_executors_of_processes(serve: Serve, executor: str) -> None:
    program = serve("synthetic", "--nav-shape", "16", "16")
    with stemwire.connect(program.address) as connection:
        acquire(connection)
        expected = final_results(connection)["sumsig"].data
    spec = {"pipelined": {"cpus": 2}, "dask": {"cpus": 2}}[executor]
    with lt.Context.make_with(executor, **spec, gpus=0) as processes:
        ds = processes.load("stemwire", address=program.address, num_partitions=6)
        result = processes.run_udf(ds, SumSigUDF())
    assert np.array_equal(result["intensity"].data, expected)


def test_corrections(context: lt.Context, serve: Serve, tmp_path: Path) -> None:
    kind = Kind("U16", 12)
    images = merlin.images((2, 3), (16, 16), kind)
    program = serve(merlin.record(tmp_path, images, kind))
    with stemwire.connect(program.address) as connection:
        acquire(connection)
    dark = np.random.default_rng(1).random((16, 16)).astype(np.float32)
    ds = context.load(stemwire.libertem.StemwireDataSet, program.address)
    result = context.run_udf(ds, SumUDF(), corrections=lt.CorrectionSet(dark=dark))
    np.testing.assert_allclose(result["intensity"].data, (images - dark).sum(axis=(0, 1)), rtol=1e-5)


def simulated(launch: Callable[..., Program], serve: Serve, *options: str) -> Program:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "16", "16", "--wait-trigger", *options),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    return serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "16", "16", "--idle-limit", "0.5")


def test_an_acquisition_that_runs(context: lt.Context, serve: Serve, launch: Callable[..., Program]) -> None:
    program = simulated(launch, serve, "--dwelltime", "2000")
    with stemwire.connect(program.address) as connection:
        updates = connection.updates(timeout=10)
        connection.arm(trigger="soft")
        connection.trigger()
        next(updates)
        ds = context.load("stemwire", address=program.address, num_partitions=4)
        assert connection.status().state == "acquiring"
        result = context.run_udf(ds, SumSigUDF())
        (*_, last) = updates
        assert np.array_equal(result["intensity"].data, last["sumsig"].data)


def test_missing_frames(context: lt.Context, serve: Serve, launch: Callable[..., Program]) -> None:
    program = simulated(launch, serve, "--faults", "drop-at=5+17+30-40")
    missing = [4, 16, *range(29, 40)]
    with stemwire.connect(program.address) as connection:
        acquire(connection)
        expected = final_results(connection)["sumsig"].data
    ds = context.load("stemwire", address=program.address, num_partitions=3)
    with pytest.raises(DataSetException, match=r"did not send.*4.*roi=ds\.received"):
        context.run_udf(ds, SumSigUDF())
    assert np.flatnonzero(~ds.received).tolist() == missing
    chosen = context.run_udf(ds, SumSigUDF(), roi=ds.received)["intensity"].data
    assert np.array_equal(chosen[ds.received], expected[ds.received])
    blank = context.load("stemwire", address=program.address, missing="zeros")
    assert np.array_equal(context.run_udf(blank, SumSigUDF())["intensity"].data, expected)


def test_what_cannot_be_loaded(context: lt.Context, serve: Serve) -> None:
    with pytest.raises(DataSetException, match="nobody listens"):
        context.load("stemwire", address="tcp://127.0.0.1:1")
    program = serve("synthetic")
    with pytest.raises(DataSetException, match="no acquisition"):
        context.load("stemwire", address=program.address)
    with pytest.raises(ValueError, match="zeros"):
        context.load("stemwire", address=program.address, missing="what")


def slow_sums() -> Any:
    """The sum of each frame, taking its time; made here, so that it can go to other processes by value."""
    from libertem.udf import UDF

    class Sums(UDF):  # type: ignore[misc]
        def get_result_buffers(self) -> Any:
            return {"intensity": self.buffer(kind="nav", dtype="float64")}

        def process_frame(self, frame: Any) -> None:
            time.sleep(0.01)
            self.results.intensity[:] = frame.sum()

    return Sums()


def test_a_process_of_dask_dies(serve: Serve) -> None:
    """Dask gives its partitions to others, which fetch the frames again."""
    program = serve("synthetic", "--nav-shape", "16", "16")
    with stemwire.connect(program.address) as connection:
        acquire(connection)
        expected = final_results(connection)["sumsig"].data
    with lt.Context.make_with("dask", cpus=3, gpus=0) as processes:
        client = processes.executor.client
        victim = sorted(client.run(os.getpid).values())[0]
        ds = processes.load("stemwire", address=program.address, num_partitions=16)
        killed = False
        for part in processes.run_udf_iter(ds, slow_sums()):
            if not killed:
                assert part.damage.data.mean() < 1
                os.kill(victim, signal.SIGKILL)
                killed = True
        assert killed
        assert victim not in client.run(os.getpid).values()
    assert np.array_equal(part.buffers[0]["intensity"].data, expected)
