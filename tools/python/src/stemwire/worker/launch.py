"""Starts workers: on this machine, on a Dask cluster, by Slurm, by Kubernetes.

Workers need nothing but the server's work socket and the modules of the UDFs; they come and go as the engine likes.

>>> with local_workers("tcp://merlin-server:7402", ["mine:Brightest"], count=4):
...     results = server.run("Brightest")
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_STOP_SECONDS = 15.0


def worker_command(
    connect: str, udfs: Sequence[str], *options: str, python: str = sys.executable, paths: Sequence[str] = ()
) -> list[str]:
    """The command line of a worker: `udfs` and `options` as `stemwire-worker --help` tells."""
    named = [part for udf in udfs for part in ("--udf", udf)]
    found = [part for path in paths for part in ("--path", path)]
    return [python, "-m", "stemwire.worker", "--connect", connect, *named, *found, *options]


@contextmanager
def local_workers(
    connect: str, udfs: Sequence[str], count: int = 1, *options: str, paths: Sequence[str] = ()
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes on this machine, which leave at the end of the block."""
    command = worker_command(connect, udfs, *options, paths=paths)
    workers = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield workers
    finally:
        _stop(workers)


@contextmanager
def dask_workers(
    client: Any, connect: str, udfs: Sequence[str], *options: str, paths: Sequence[str] = ()
) -> Iterator[list[str]]:
    """A worker process beside each worker of a Dask cluster, as long as the block lasts; gives their Dask addresses.

    The frames go over Stemwire's own sockets: Dask only starts and ends the processes.
    """
    command = worker_command(connect, udfs, *options, python="", paths=paths)[1:]
    try:
        yield sorted(client.run(_start_beside, command))
    finally:
        client.run(_stop_beside)


def _start_beside(arguments: list[str], dask_worker: Any) -> int:
    process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL)
    dask_worker.stemwire_workers = [*getattr(dask_worker, "stemwire_workers", ()), process]
    return process.pid


def _stop_beside(dask_worker: Any) -> None:
    _stop(getattr(dask_worker, "stemwire_workers", ()))
    dask_worker.stemwire_workers = []


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def slurm_script(
    connect: str, udfs: Sequence[str], *options: str, tasks: int = 4, hours: int = 4, paths: Sequence[str] = ()
) -> str:
    """A batch script for `sbatch`: one worker a task, which may be ended and started again at any time."""
    command = shlex.join(worker_command(connect, udfs, *options, python="python3", paths=paths))
    return f"""#!/bin/bash
#SBATCH --job-name=stemwire-worker
#SBATCH --ntasks={tasks}
#SBATCH --cpus-per-task=1
#SBATCH --time={hours:02}:00:00
#SBATCH --requeue
# Workers say goodbye when the time is over: what they have not finished others do.
#SBATCH --signal=TERM@30
# A server that asks for keys: export STEMWIRE_TOKEN=$HOME/.stemwire/worker.token before sbatch.
exec srun --kill-on-bad-exit=0 {command}
"""


def kubernetes_deployment(
    connect: str, udfs: Sequence[str], image: str, *options: str, replicas: int = 4, paths: Sequence[str] = ()
) -> str:
    """A Deployment for `kubectl apply -f`, as JSON: `replicas` pods of an image that has this package and the UDFs.

    The token of a server that asks for keys is taken from the secret `stemwire-worker`, key `token`, if there is one.
    """
    labels = {"app": "stemwire-worker"}
    secret = {"name": "stemwire-worker", "key": "token", "optional": True}
    container = {
        "name": "worker",
        "image": image,
        "command": worker_command(connect, udfs, *options, python="python3", paths=paths),
        "env": [{"name": "STEMWIRE_TOKEN", "valueFrom": {"secretKeyRef": secret}}],
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "stemwire-worker", "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]},
            },
        },
    }
    return json.dumps(deployment, indent=2) + "\n"
