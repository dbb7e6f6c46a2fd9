"""Starts simulated detectors: Stemwire's and LiberTEM-live's own."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from detector_operator import DetectorPorts
from processes import Program, ProgramError, free_ports
from report import CheckFailed

READY_SECONDS = 60.0
INTERRUPTED = (0, 130)
"""Exit codes of a server that was told to stop."""


class Simulator(Protocol):
    """A simulated detector: call it with a source and options, and it runs until the `with` block is left."""

    @property
    def name(self) -> str: ...

    @property
    def cached(self) -> tuple[str, ...]:
        """Options that make it keep the whole stream in memory."""

    @property
    def knows_raw_gap(self) -> bool:
        """Whether IMAGEX and IMAGEY are those of the decoded image for raw frames of a 2x2G sensor."""

    @property
    def rest_seconds(self) -> float:
        """How long it takes to notice that a data client has left; to be waited for before the next one arms."""

    def __call__(self, source: str | Path, *options: str) -> AbstractContextManager[DetectorPorts]: ...


class StemwireSimulator:
    """`stemwire sim SOURCE` on free ports."""

    name = "stemwire sim"
    cached = ("--cached", "memory")
    knows_raw_gap = True
    rest_seconds = 0.0

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder

    @contextmanager
    def __call__(self, source: str | Path, *options: str) -> Iterator[DetectorPorts]:
        free = ["--host", "127.0.0.1", "--control-port", "0", "--data-port", "0", "--trigger-port", "0"]
        command = [str(self._binary), "sim", str(source), *free, "--json", *options]
        with Program(command, self._folder) as program:
            ports = program.wait_for_output(_listening_ports, READY_SECONDS)
            with _quoting(program):
                yield ports
            if program.exit_code is not None:
                raise ProgramError(f"{self.name} ended by itself with {program.exit_code}: {program.last_words()}")
            exit_code = program.stop()
            if exit_code not in INTERRUPTED:
                raise ProgramError(f"{self.name}, interrupted, ended with {exit_code}: {program.last_words()}")


@contextmanager
def listening(command: Sequence[str], folder: Path) -> Iterator[dict[str, int]]:
    """A program that tells its ports with `--json`."""
    own_folder = Path(tempfile.mkdtemp(dir=folder))
    with Program(command, own_folder) as program:
        ports = program.wait_for_output(_listening_line, READY_SECONDS)
        with _quoting(program):
            yield ports
        exit_code = program.stop()
        if exit_code not in INTERRUPTED:
            raise ProgramError(f"{program.name}, interrupted, ended with {exit_code}: {program.last_words()}")


@contextmanager
def serving(binary: Path, folder: Path, source: str | Path, *options: str) -> Iterator[tuple[DetectorPorts, str]]:
    """An acquisition server on a simulated detector: the detector's ports, and the server's address."""
    with StemwireSimulator(binary, folder)(source, *options) as ports:
        detector = f"merlin://{ports.host}:{ports.control},{ports.data}"
        free = ("--control-port", "0", "--live-port", "0", "--work-port", "0", "--no-viewer", "--json")
        with listening([str(binary), "serve", "--source", detector, *free], folder) as server:
            yield ports, f"tcp://127.0.0.1:{server['control_port']}"


class AdaptedSimulator:
    """A simulated detector behind an acquisition server and `stemwire adapt mpx`."""

    name = "stemwire adapt mpx"
    cached = ()
    knows_raw_gap = True
    rest_seconds = 0.0

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder

    @contextmanager
    def __call__(self, source: str | Path, *options: str) -> Iterator[DetectorPorts]:
        with serving(self._binary, self._folder, source, *options) as (detector, address):
            command = [
                str(self._binary),
                "adapt",
                "mpx",
                "--connect",
                address,
                "--control-port",
                "0",
                "--data-port",
                "0",
            ]
            with listening([*command, "--json"], self._folder) as ports:
                yield DetectorPorts(ports["control_port"], ports["data_port"], detector.trigger)


class LiberTEMSimulator:
    """`libertem-live-mib-sim` of the environment that runs this."""

    name = "libertem-live-mib-sim"
    cached = ("--cached", "MEM")
    knows_raw_gap = False
    rest_seconds = 0.5

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def __call__(self, source: str | Path, *options: str) -> Iterator[DetectorPorts]:
        control, data, trigger = free_ports(3)
        command = [
            *(str(Path(sys.executable).with_name("libertem-live-mib-sim")), str(source), "--host", "127.0.0.1"),
            *("--control-port", str(control), "--data-port", str(data), "--trigger-port", str(trigger)),
            *options,
        ]
        with Program(command, self._folder) as program:
            program.wait_for_log("listening", count=3, seconds=READY_SECONDS)
            with _quoting(program):
                yield DetectorPorts(control, data, trigger)


@contextmanager
def _quoting(program: Program) -> Iterator[None]:
    """Adds the simulator's last words to a failure of what was done with it."""
    try:
        yield
    except Exception as failure:
        raise CheckFailed(f"{failure}\nThe simulator's last words:\n{program.last_words()}") from failure


def _listening_ports(output: str) -> DetectorPorts | None:
    ports = _listening_line(output)
    if ports is None:
        return None
    missing = [key for key in ("control_port", "data_port", "trigger_port") if key not in ports]
    if missing:
        raise ProgramError(f"the listening line has no {', '.join(missing)}: {ports}")
    return DetectorPorts(ports["control_port"], ports["data_port"], ports["trigger_port"])


def _listening_line(output: str) -> dict[str, int] | None:
    """Ports in a line `{"event":"listening","control_port":…,"data_port":…}`."""
    for line in output.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "listening":
            return {key: int(value) for key, value in event.items() if key.endswith("port")}
    return None
