"""The parent's side of the LiberTEM process: one job at a time, each with a deadline."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libertem_worker import JobFailure, LiveJob, LiveResult, OfflineJob, UDFJob, serve

START_SECONDS = 120.0
JOB_SECONDS = 40.0
STOP_SECONDS = 10.0


class ClientError(Exception):
    """LiberTEM failed or did not come to an end."""


class LiberTEMClient:
    """Use as a context manager; the process starts with the first job and again after one that was late."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: SpawnProcess | None = None
        self._jobs: Connection | None = None

    def __enter__(self) -> LiberTEMClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(patience=STOP_SECONDS)

    def acquire(self, job: LiveJob, seconds: float = JOB_SECONDS) -> list[LiveResult]:
        answer: list[LiveResult] = self._ask(job, seconds)
        return answer

    def read_offline(self, header_path: Path, seconds: float = JOB_SECONDS) -> NDArray[np.float64]:
        answer: NDArray[np.float64] = self._ask(OfflineJob(header_path), seconds)
        return answer

    def run_udf(self, job: UDFJob, seconds: float = JOB_SECONDS) -> dict[str, NDArray[Any]]:
        answer: dict[str, NDArray[Any]] = self._ask(job, seconds)
        return answer

    def _ask(self, job: LiveJob | OfflineJob | UDFJob, seconds: float) -> Any:
        jobs = self._start()
        jobs.send(job)
        try:
            answer = self._receive(jobs, seconds, f"LiberTEM was not done within {seconds:g} s")
        except BaseException:
            self._stop(patience=0)
            raise
        if isinstance(answer, JobFailure):
            raise ClientError(answer.text)
        return answer

    def _start(self) -> Connection:
        if self._jobs is not None and self._process is not None and self._process.is_alive():
            return self._jobs
        self._stop(patience=0)
        spawn = multiprocessing.get_context("spawn")
        self._jobs, theirs = spawn.Pipe()
        temporary_folder = tempfile.mkdtemp(dir=self._folder)
        self._process = spawn.Process(target=serve, args=(theirs, temporary_folder))
        self._process.start()
        theirs.close()
        self._receive(self._jobs, START_SECONDS, f"LiberTEM did not start within {START_SECONDS:g} s")
        return self._jobs

    @staticmethod
    def _receive(jobs: Connection, seconds: float, late: str) -> Any:
        if not jobs.poll(seconds):
            raise ClientError(late)
        try:
            return jobs.recv()
        except EOFError:
            raise ClientError("LiberTEM's process ended by itself") from None

    def _stop(self, patience: float) -> None:
        if self._jobs is not None:
            self._jobs.close()
            self._jobs = None
        process, self._process = self._process, None
        if process is None or process.pid is None:
            return
        process.join(patience)
        # The process leads a session of its own, in which LiberTEM's own workers are too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join(STOP_SECONDS)
