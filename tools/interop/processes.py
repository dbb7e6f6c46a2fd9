"""Programs started by the checks: each is stopped, and what it wrote is at hand when something fails."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

STOP_SECONDS = 10.0
POLL_SECONDS = 0.02

Found = TypeVar("Found")


class ProgramError(Exception):
    """A program did not do what it is there for."""


class Program:
    """A running program that writes into files; stop it with `stop` or by leaving its `with` block."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self.name = Path(command[0]).name
        self._output_path = folder / f"{self.name}.out"
        self._log_path = folder / f"{self.name}.log"
        with self._output_path.open("wb") as output, self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=log, start_new_session=True
            )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def wait_for_output(self, find: Callable[[str], Found | None], seconds: float) -> Found:
        """What `find` makes of the standard output so far, as soon as it makes anything of it."""
        return self._wait(lambda: find(_text(self._output_path)), seconds)

    def wait_for_log(self, text: str, count: int, seconds: float) -> None:
        """Until `text` stands `count` times in standard error."""
        self._wait(lambda: _text(self._log_path).count(text) >= count or None, seconds)

    def wait(self, seconds: float) -> int:
        """Until the program ends by itself; gives its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{self.name} did not end within {seconds:g} s: {self.last_words()}") from None

    def stop(self) -> int:
        """Interrupts the program as a user would; by force when it does not listen. Gives its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def last_words(self, characters: int = 800) -> str:
        return _text(self._log_path).strip()[-characters:] or "(nothing on standard error)"

    def _wait(self, attempt: Callable[[], Found | None], seconds: float) -> Found:
        deadline = time.monotonic() + seconds
        while True:
            ended = self.exit_code
            if (found := attempt()) is not None:
                return found
            if ended is not None:
                raise ProgramError(f"{self.name} ended with {ended} before it was ready: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.name} was not ready within {seconds:g} s: {self.last_words()}")
            time.sleep(POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, for programs that cannot choose one themselves."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for candidate in sockets:
            candidate.bind(("127.0.0.1", 0))
        return [candidate.getsockname()[1] for candidate in sockets]
    finally:
        for candidate in sockets:
            candidate.close()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
