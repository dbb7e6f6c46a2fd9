"""LiberTEM-live's own words against a server: connections, acquisitions, hooks, plots, executors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import stemwire

from .conftest import Program, Serve, final_results

pytest.importorskip("libertem_live.api")
from libertem.executor.inline import InlineJobExecutor
from libertem.executor.pipelined import PipelinedExecutor
from libertem.udf.sum import SumUDF
from libertem.udf.sumsigudf import SumSigUDF
from libertem_live.api import LiveContext
from libertem_live.hooks import Hooks

import stemwire.libertem_live

NAV = (12, 16)


@pytest.fixture(params=["inline", "pipelined"])
def context(request: pytest.FixtureRequest) -> Iterator[LiveContext]:
    executor = (
        InlineJobExecutor()
        if request.param == "inline"
        else PipelinedExecutor(spec=PipelinedExecutor.make_spec(cpus=range(2), cudas=[]))
    )
    with LiveContext(executor=executor) as made:
        yield made


@pytest.fixture
def program(serve: Serve, launch: Callable[..., Program]) -> Program:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", *map(str, NAV), "--wait-trigger", "--dwelltime", "2000"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    return serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", *map(str, NAV))


def expected(program: Program) -> np.ndarray[Any, Any]:
    with stemwire.connect(program.address) as connection:
        data: np.ndarray[Any, Any] = final_results(connection)["sumsig"].data
        return data


def test_active_mode(context: LiveContext, program: Program) -> None:
    calls: list[Any] = []

    class Watch(Hooks):  # type: ignore[misc]
        def on_ready_for_data(self, env: Any) -> None:
            calls.append(env.aq)

    with context.make_connection("stemwire").open(program.address) as conn:
        for _ in range(2):
            aq = context.make_acquisition(conn=conn, nav_shape=NAV, frames_per_partition=50, hooks=Watch())
            assert tuple(aq.shape.nav) == NAV
            total, each = context.run_udf(dataset=aq, udf=[SumUDF(dtype="float64"), SumSigUDF()])
            np.testing.assert_array_equal(each["intensity"].data, expected(program))
            assert total["intensity"].data.sum() == each["intensity"].data.sum()
    assert len(calls) == 2


def test_the_hook_may_trigger(context: LiveContext, program: Program) -> None:
    class Trigger(Hooks):  # type: ignore[misc]
        def on_ready_for_data(self, env: Any) -> None:
            conn.server.trigger()

    with context.make_connection("stemwire").open(program.address, trigger=None) as conn:
        aq = context.make_acquisition(conn=conn, nav_shape=NAV, hooks=Trigger())
        conn.server.set("TRIGGERSTART", 5)
        result = context.run_udf(dataset=aq, udf=SumSigUDF())
    np.testing.assert_array_equal(result["intensity"].data, expected(program))


def test_passive_mode_with_plots_and_partial_results(program: Program) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    with LiveContext(executor=InlineJobExecutor()) as context, stemwire.connect(program.address) as operator:
        with context.make_connection("stemwire").open(program.address) as conn:
            assert conn.wait_for_acquisition(timeout=0.05) is None

            def begin() -> None:
                operator.arm(NAV, trigger="soft")
                operator.trigger()

            beginning = threading.Thread(target=begin)
            beginning.start()
            pending = conn.wait_for_acquisition(timeout=20)
            beginning.join()
            assert pending is not None
            assert (pending.nimages, pending.nav_shape) == (192, NAV)
            aq = context.make_acquisition(conn=conn, pending_aq=pending, nav_shape=(-1, 32), frames_per_partition=32)
            assert tuple(aq.shape.nav) == (6, 32)
            parts = [part.damage.data.mean() for part in context.run_udf_iter(dataset=aq, udf=SumSigUDF())]
            assert len(parts) == 6
            assert parts[0] < parts[-1] == 1
            result = context.run_udf(dataset=aq, udf=SumSigUDF(), plots=True)
    np.testing.assert_array_equal(result["intensity"].data.reshape(NAV), expected(program))


def test_what_cannot_be(program: Program) -> None:
    with LiveContext(executor=InlineJobExecutor()) as context:
        with pytest.raises(stemwire.ServerUnreachable):
            context.make_connection("stemwire").open("tcp://127.0.0.1:1")
        with pytest.raises(NotImplementedError):
            context.make_connection("toaster")
        with context.make_connection("stemwire").open(program.address, trigger=None, timeout=0.3) as conn:
            aq = context.make_acquisition(conn=conn, nav_shape=NAV)
            with pytest.raises(Exception, match="armed"):
                context.run_udf(dataset=aq, udf=SumSigUDF())
