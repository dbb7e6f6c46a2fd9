"""Workers started by the helpers: on this machine, beside Dask's workers, and by scripts for Slurm and Kubernetes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemwire
from stemwire.worker.launch import dask_workers, kubernetes_deployment, local_workers, slurm_script

from .conftest import Program, Serve

FOLDER = str(Path(__file__).parent)


@pytest.fixture
def program(serve: Serve) -> Program:
    base = ("--nav-shape", "8", "16", "--threads", "0", "--udf", "none", "--frames-per-partition", "8")
    return serve("synthetic", *base)


def check(program: Program, workers: int = 0) -> None:
    with stemwire.connect(program.address) as server:
        deadline = time.monotonic() + 60
        while server.status().work_peers < workers:
            assert time.monotonic() < deadline, "the workers did not come"
            time.sleep(0.05)
        results = server.run({"b": "Brightest", "max": "max"}, timeout=60)
    np.testing.assert_array_equal(results["b.peaks"].data, results["max"].data)
    manifest = results["max"].manifest
    assert manifest is not None
    assert sum(manifest.workers.values()) == 16


def test_local(program: Program) -> None:
    work = f"tcp://127.0.0.1:{program.ports['work_port']}"
    with local_workers(work, ["udfs:Brightest"], 2, paths=[FOLDER]) as workers:
        check(program)
    assert [each.returncode for each in workers] == [0, 0]


def test_workers_that_do_not_come(program: Program) -> None:
    work = f"tcp://127.0.0.1:{program.ports['work_port']}"
    with pytest.raises(stemwire.StemwireError, match="ended with code 64"):
        with local_workers(work, ["udfs:NoSuch"], paths=[FOLDER]):
            pass
    with pytest.raises(stemwire.DeadlineExceeded, match="7402"):
        with local_workers("tcp://127.0.0.1:1", ["udfs:Brightest"], paths=[FOLDER], timeout=3):
            pass


def test_beside_dask(program: Program) -> None:
    distributed = pytest.importorskip("distributed")
    work = f"tcp://127.0.0.1:{program.ports['work_port']}"
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        dask_workers(client, work, ["udfs:Brightest"], paths=[FOLDER]) as addresses,
    ):
        assert len(addresses) == 2
        check(program)


def test_slurm(program: Program, tmp_path: Path) -> None:
    """The script itself, with a `srun` that runs one task."""
    work = f"tcp://127.0.0.1:{program.ports['work_port']}"
    srun = tmp_path / "srun"
    srun.write_text(f'#!/bin/bash\nshift\nshift\nexec {sys.executable} "$@"\n')
    srun.chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(slurm_script(work, ["udfs:Brightest"], tasks=1, paths=[FOLDER]))
    path = f"{tmp_path}:{os.environ['PATH']}"
    job = subprocess.Popen(["bash", str(script)], env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL)
    try:
        check(program, 1)
        job.send_signal(signal.SIGTERM)
        assert job.wait(30) == 0
    finally:
        job.kill()
        job.wait()


def test_kubernetes() -> None:
    text = kubernetes_deployment("tcp://merlin-server:7402", ["a:B", "c=d:E"], "registry/udfs:1", replicas=3)
    deployment: dict[str, Any] = json.loads(text)
    assert deployment["spec"]["replicas"] == 3
    template = deployment["spec"]["template"]
    assert template["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    (container,) = template["spec"]["containers"]
    assert container["command"][1:5] == ["-m", "stemwire.worker", "--connect", "tcp://merlin-server:7402"]
    assert container["command"][5:] == ["--udf", "a:B", "--udf", "c=d:E"]
