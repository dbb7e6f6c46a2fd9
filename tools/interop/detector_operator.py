"""Arms and triggers a detector through LiberTEM-live's own MerlinControl, as its users do."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from libertem_worker import LiveJob

Trigger = Literal["none", "soft", "socket"]
"""`none`: the detector sends by itself. `soft`: SOFTTRIGGER command. `socket`: the trigger socket of simulators."""


@dataclass(frozen=True)
class DetectorPorts:
    control: int
    data: int
    trigger: int
    host: str = "127.0.0.1"

    def open_control(self) -> Any:
        """MerlinControl, a context manager."""
        from libertem_live.detectors.merlin.control import MerlinControl

        return MerlinControl(self.host, self.control)


class Operator:
    """Arms and triggers once for a job."""

    def __init__(self, job: LiveJob) -> None:
        self._job = job
        self._answer: str | None = None
        self._listener: threading.Thread | None = None

    def arm_and_trigger(self) -> None:
        if self._job.trigger == "none":
            return
        self._arm()
        if self._job.trigger == "soft":
            with self._job.ports.open_control() as control:
                control.cmd("SOFTTRIGGER")
        else:
            self._pull_trigger_socket()

    def arm_and_trigger_for_reader(self) -> None:
        """The same as soon as somebody is connected to the data port: of a detector that serves several, whoever comes
        later has missed the beginning."""
        deadline = time.monotonic() + self._job.seconds
        while not _is_read(self._job.ports.data):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody connected to the data port within {self._job.seconds:g} s")
            time.sleep(0.005)
        self.arm_and_trigger()

    def trigger_answer(self) -> str | None:
        if self._listener is not None:
            self._listener.join(self._job.seconds)
        return self._answer

    def _arm(self) -> None:
        """What LiberTEM-live's Merlin example sets before a scan, with a soft trigger; then arms."""
        with self._job.ports.open_control() as control:
            control.set("CONTINUOUSRW", int(self._job.continuous))
            control.set("ACQUISITIONTIME", 0.1)
            control.set("ACQUISITIONPERIOD", 0.1)
            control.set("NUMFRAMESTOACQUIRE", self._job.frames)
            control.set("NUMFRAMESPERTRIGGER", self._job.frames_per_trigger)
            control.set("TRIGGERSTART", 5)
            control.set("RUNHEADLESS", 1)
            control.set("FILEENABLE", 0)
            control.cmd("STARTACQUISITION")

    def _pull_trigger_socket(self) -> None:
        ports = self._job.ports
        connection = socket.create_connection((ports.host, ports.trigger), timeout=self._job.seconds)
        connection.sendall(b"TRIGGER\n")
        # FINISH comes when all frames are sent, for which this process has to read them meanwhile.
        self._listener = threading.Thread(target=self._listen, args=(connection,), daemon=True)
        self._listener.start()

    def _listen(self, connection: socket.socket) -> None:
        with connection:
            self._answer = connection.recv(64).decode("ascii", errors="replace").strip()


def _is_read(port: int) -> bool:
    """Whether a connection to this port of this machine is established; without /proc, it is taken for one."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        return True
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return any(int(row[2].rpartition(":")[2], 16) == port and row[3] == "01" for row in rows)
