"""Worker processes of the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import Program

READY_SECONDS = 60.0


@dataclass
class WorkerProcess:
    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    reader: threading.Thread | None = None

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()

    def wait_for(self, event: str, test: Callable[[dict[str, Any]], bool] = lambda told: True) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next((each for each in self.events if each["event"] == event and test(each)), None)

        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, READY_SECONDS), f"no {event!r}: {self.events}"
            told = found()
            assert told is not None
            return told

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(READY_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.reader is not None:
            self.reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.returncode


def start_worker(server: Program, *udfs: str, options: tuple[str, ...] = ()) -> WorkerProcess:
    """Starts a worker and does not wait for it."""
    folder = Path(__file__).parent
    named = [part for udf in udfs for part in ("--udf", udf)]
    address = f"tcp://127.0.0.1:{server.ports['work_port']}"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "stemwire.worker",
            "--connect",
            address,
            "--path",
            str(folder),
            "--json",
            *named,
            *options,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    worker = WorkerProcess(process)
    worker.reader = threading.Thread(target=worker.read, daemon=True)
    worker.reader.start()
    return worker
