"""Programs and servers for the tests; each is stopped by the test that started it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stemwire

from .workers import WorkerProcess, start_worker

REPOSITORY = Path(__file__).resolve().parents[3]
_READY_SECONDS = 20.0
_STOP_SECONDS = 10.0


def find_binary() -> Path | None:
    named = os.environ.get("STEMWIRE_BINARY")
    choice = [Path(named)] if named else [REPOSITORY / ".build" / kind / "stemwire" for kind in ("release", "debug")]
    return next((path for path in choice if path.is_file()), None)


def final_results(server: stemwire.Connection) -> stemwire.Results:
    """The results of an acquisition that has ended, once the server has worked off its frames."""
    deadline = time.monotonic() + _READY_SECONDS
    while not (results := server.snapshot()).final:
        assert time.monotonic() < deadline, "the results did not become final"
        time.sleep(0.01)
    return results


@dataclass
class Program:
    """A running `stemwire`, and the ports it told."""

    process: subprocess.Popen[str]
    ports: dict[str, int]

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.ports['control_port']}"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start(*arguments: str) -> Program:
    """Starts `stemwire …  --json` and waits for its `listening` line."""
    binary = find_binary()
    assert binary is not None
    process = subprocess.Popen(
        [str(binary), *arguments, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(_READY_SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told.get("event") == "listening":
                ports = {key: value for key, value in told.items() if key.endswith("_port")}
                return Program(process, ports)
        raise AssertionError(f"stemwire {' '.join(arguments)} ended with {process.wait()} before it was ready")
    finally:
        watchdog.cancel()


Serve = Callable[..., Program]


@pytest.fixture
def worker() -> Iterator[Callable[..., WorkerProcess]]:
    """Starts worker processes: `worker(server, "module:UDF", …)`."""
    started: list[WorkerProcess] = []

    def start_and_keep(server: Program, *udfs: str, options: tuple[str, ...] = ()) -> WorkerProcess:
        started.append(start_worker(server, *udfs, options=options))
        return started[-1]

    yield start_and_keep
    for each in started:
        each.stop()


@pytest.fixture
def launch() -> Iterator[Callable[..., Program]]:
    """Starts any `stemwire` command that tells its ports."""
    if find_binary() is None:
        pytest.skip("no stemwire binary: swift build --product stemwire, or set STEMWIRE_BINARY")
    started: list[Program] = []

    def start_and_keep(*arguments: str) -> Program:
        started.append(start(*arguments))
        return started[-1]

    yield start_and_keep
    for each in started:
        each.stop()


@pytest.fixture
def serve(launch: Callable[..., Program]) -> Serve:
    """Starts an acquisition server on free ports."""

    def start_server(source: str | Path, *options: str) -> Program:
        ports = ("--control-port", "0", "--live-port", "0", "--work-port", "0", "--http-port", "0")
        return launch("serve", "--source", str(source), *ports, *options)

    return start_server


@pytest.fixture
def server(serve: Serve) -> Iterator[stemwire.Connection]:
    """A connection to a server with a synthetic scan of 16 × 16."""
    program = serve("synthetic", "--nav-shape", "16", "16")
    with stemwire.connect(program.address) as connection:
        yield connection
