"""Starts workers: on this machine, on a Dask cluster, by Slurm, by Kubernetes.

Workers need nothing but the server's work socket and the modules of the UDFs; they come and go as the engine likes.

>>> with local_workers("tcp://merlin-server:7402", ["mine:Brightest"], count=4):
...     results = server.run("Brightest")
"""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import DeadlineExceeded, StemwireError

CONNECT_SECONDS = 60.0
_STOP_SECONDS = 15.0


def worker_command(
    connect: str, udfs: Sequence[str], *options: str, python: str = sys.executable, paths: Sequence[str] = ()
) -> list[str]:
    """The command line of a worker: `udfs` and `options` as `stemwire-worker --help` tells."""
    named = [part for udf in udfs for part in ("--udf", udf)]
    found = [part for path in paths for part in ("--path", path)]
    return [python, "-m", "stemwire.worker", "--connect", connect, *named, *found, *options]


class StartedWorker:
    """A worker process of this machine, and what it tells of its connection."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [*command, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self._told = threading.Event()
        self._connected = False
        self._reader = threading.Thread(target=self._read, name="stemwire-started-worker", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with suppress(ValueError):
                    if json.loads(line).get("event") == "connected":
                        self._connected = True
                        self._told.set()
        self._told.set()

    def wait_connected(self, until: float) -> None:
        """Until the server knows its UDFs. Raises `DeadlineExceeded`, or `StemwireError` when it has ended."""
        if not self._told.wait(max(0.0, until - time.monotonic())):
            raise DeadlineExceeded(
                "a worker did not reach the server in time: is it there, is this its work port (default 7402), and do "
                "the modules of the UDFs load? What the worker says is on standard error"
            )
        if not self._connected:
            code = self.process.wait()
            raise StemwireError(f"a worker ended with code {code} before it was connected; standard error says why")


@contextmanager
def local_workers(
    connect: str,
    udfs: Sequence[str],
    count: int = 1,
    *options: str,
    paths: Sequence[str] = (),
    timeout: float = CONNECT_SECONDS,
) -> Iterator[list[subprocess.Popen[str]]]:
    """Worker processes on this machine, which leave at the end of the block; it begins when the server knows them.

    Raises `DeadlineExceeded` when they do not reach the server within `timeout` seconds, `StemwireError` when one ends.
    """
    command = worker_command(connect, udfs, *options, paths=paths)
    workers = [StartedWorker(command) for _ in range(count)]
    try:
        until = time.monotonic() + timeout
        for each in workers:
            each.wait_connected(until)
        yield [each.process for each in workers]
    finally:
        _stop(workers)


@contextmanager
def dask_workers(
    client: Any,
    connect: str,
    udfs: Sequence[str],
    *options: str,
    paths: Sequence[str] = (),
    timeout: float = CONNECT_SECONDS,
) -> Iterator[list[str]]:
    """A worker process beside each worker of a Dask cluster, as long as the block lasts; gives their Dask addresses.

    The frames go over Stemwire's own sockets: Dask only starts and ends the processes. Errors as of `local_workers`.
    """
    command = worker_command(connect, udfs, *options, python="", paths=paths)[1:]
    try:
        yield sorted(client.run(_start_beside, command, timeout))
    finally:
        client.run(_stop_beside)


async def _start_beside(arguments: list[str], timeout: float, dask_worker: Any) -> int:
    started = StartedWorker([sys.executable, *arguments])
    dask_worker.stemwire_workers = [*getattr(dask_worker, "stemwire_workers", ()), started]
    # Dask's own heartbeats go on meanwhile.
    await asyncio.to_thread(started.wait_connected, time.monotonic() + timeout)
    return started.process.pid


def _stop_beside(dask_worker: Any) -> None:
    _stop(getattr(dask_worker, "stemwire_workers", ()))
    dask_worker.stemwire_workers = []


def _stop(workers: Sequence[StartedWorker]) -> None:
    processes = [each.process for each in workers]
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
