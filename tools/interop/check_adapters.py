"""Unmodified clients of other protocols on Stemwire's adapters: each gets exactly what the detector sent.

A simulated Merlin, an acquisition server on it, an adapter on the server, clients on the adapter. The clients in
`clients` run in virtual environments of their own, in which there is nothing of Stemwire.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sets import NAV_SHAPE, DataSets
from libertem_client import LiberTEMClient
from libertem_worker import LiveJob
from merlin_files import MerlinDataSet
from merlin_formats import MerlinFormat
from processes import Program
from report import Check, CheckFailed, expect, expect_equal_arrays
from simulators import AdaptedSimulator, listening, serving

SECONDS = 60.0
FORMATS = (
    MerlinFormat("U08", 6, "1x1"),
    MerlinFormat("U16", 12, "1x1"),
    MerlinFormat("U32", 24, "1x1"),
    MerlinFormat("R64", 6, "2x2"),
    MerlinFormat("R64", 12, "2x2G"),
)
CLIENTS = Path(__file__).with_name("clients")


class AdapterChecks:
    def __init__(
        self, binary: Path, environments: Path, client: LiberTEMClient, data_sets: DataSets, folder: Path
    ) -> None:
        self._binary = binary
        self._environments = environments
        self._client = client
        self._data_sets = data_sets
        self._folder = folder

    def checks(self) -> Iterator[Check]:
        for format in FORMATS:
            yield self._check("stemwire adapt mpx", "LiberTEM-live and two plain clients", format, self._merlin)
            for name, ours, theirs in (("REP", "REP", "REQ"), ("PUSH", "PUSH", "PULL")):
                body = self._karabo(ours, theirs)
                yield self._check("stemwire-adapt karabo-bridge", f"karabo_bridge 0.7.0, {name}", format, body)
            yield self._check("stemwire-adapt dectris", "LiberTEM-live, stream V1 and REST", format, self._dectris)
            for compression in ("lz4", "none"):
                name = f"DECTRIS' example and library, CBOR, {compression}"
                yield self._check("stemwire-adapt dectris", name, format, self._stream2(compression))

    def _check(self, section: str, name: str, format: MerlinFormat, body: Callable[[MerlinDataSet], None]) -> Check:
        return Check(section, name, format.name, lambda: body(self._data_sets.get(format)))

    def _merlin(self, data_set: MerlinDataSet) -> None:
        frames = len(data_set.images)
        with ExitStack() as stack:
            simulator = AdaptedSimulator(self._binary, self._folder)
            ports = stack.enter_context(simulator(data_set.header_path, "--wait-trigger"))
            plain = [
                stack.enter_context(self._running(sys.executable, "merlin.py", str(ports.data), str(frames)))
                for _ in range(2)
            ]
            job = LiveJob(
                ports,
                "active",
                "soft",
                NAV_SHAPE,
                frames,
                frames,
                continuous=data_set.format.depth < 24,
                acquisitions=1,
            )
            (seen,) = self._client.acquire(job)
            found = [each.result() for each in plain]
        expect_equal_arrays("LiberTEM-live's sum", seen.sum, data_set.sum)
        expect_equal_arrays("LiberTEM-live's sumsig", seen.sumsig, data_set.sumsig)
        for number, arrays in enumerate(found, 1):
            expect(f"frame numbers of plain client {number}", arrays["numbers"].tolist(), list(range(1, frames + 1)))
            expect_equal_arrays(f"bytes of plain client {number}", arrays["pixels"], bytes_as_sent(data_set))

    def _karabo(self, ours: str, theirs: str) -> Callable[[MerlinDataSet], None]:
        def check(data_set: MerlinDataSet) -> None:
            with self._adapter(data_set, "karabo-bridge", "--port", "0", "--socket", ours) as (ports, acquire):
                frames = str(len(data_set.images))
                client = self._running(self._python("karabo"), "karabo.py", str(ports["port"]), theirs, frames)
                with client as running:
                    acquire()
                    expect_equal_arrays("the images", running.result()["images"], data_set.images)

        return check

    def _stream2(self, compression: str) -> Callable[[MerlinDataSet], None]:
        def check(data_set: MerlinDataSet) -> None:
            free = ("--stream-port", "0", "--api-port", "0", "--stream", "stream2", "--compression", compression)
            with self._adapter(data_set, "dectris", *free) as (ports, acquire):
                python = self._python("dectris")
                with self._running(python, "dectris_stream2.py", str(ports["stream_port"])) as running:
                    acquire()
                    expect_equal_arrays("the images", running.result()["images"], data_set.images)

        return check

    def _dectris(self, data_set: MerlinDataSet) -> None:
        with self._adapter(data_set, "dectris", "--stream-port", "0", "--api-port", "0") as (ports, acquire):
            told = [str(ports["api_port"]), str(ports["stream_port"]), *map(str, NAV_SHAPE)]
            # LiberTEM-live asks for the frames' size first, which the server knows after an acquisition.
            acquire()
            with self._running(sys.executable, "libertem_live_v1.py", *told) as running:
                acquire()
                found = running.result()
        expect_equal_arrays("LiberTEM-live's sum", found["sum"], data_set.sum)
        expect_equal_arrays("LiberTEM-live's sumsig", found["sumsig"], data_set.sumsig)

    @contextmanager
    def _adapter(
        self, data_set: MerlinDataSet, *arguments: str
    ) -> Iterator[tuple[Mapping[str, int], Callable[[], None]]]:
        """An adapter's ports, and what acquires once."""
        program = self._environments / "adapters" / "bin" / "stemwire-adapt"
        with serving(self._binary, self._folder, data_set.header_path, "--wait-trigger") as (_, address):
            command = [str(program), *arguments, "--connect", address, "--json"]
            with listening(command, self._folder) as ports:
                yield ports, lambda: self._acquire(address, data_set)

    def _acquire(self, address: str, data_set: MerlinDataSet) -> None:
        """Through `stemwire ctl`, to the end of the acquisition."""
        frames = str(len(data_set.images))
        begin = ("--set", f"CONTINUOUSRW={int(data_set.format.depth < 24)}", "--frames", frames, "--trigger", "soft")
        command = [str(self._binary), "ctl", "--connect", address, "scan", *begin, "--timeout", "40"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode != 0:
            raise CheckFailed(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def _python(self, environment: str) -> str:
        return str(self._environments / environment / "bin" / "python")

    @contextmanager
    def _running(self, python: str, script: str, *arguments: str) -> Iterator[RunningClient]:
        """A client that is connected."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        output = folder / "found.npz"
        with Program([python, str(CLIENTS / script), *arguments, str(output)], folder) as program:
            program.wait_for_output(lambda text: "ready" in text or None, SECONDS)
            yield RunningClient(program, output, script)


class RunningClient:
    def __init__(self, program: Program, output: Path, script: str) -> None:
        self._program = program
        self._output = output
        self._script = script

    def result(self) -> dict[str, NDArray[Any]]:
        """What it wrote, once it has ended by itself."""
        code = self._program.wait(SECONDS)
        if code != 0:
            raise CheckFailed(f"{self._script} ended with {code}: {self._program.last_words()}")
        with np.load(self._output, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def bytes_as_sent(data_set: MerlinDataSet) -> NDArray[np.uint8]:
    """What lies behind the frame headers in the data set's file, (frame, byte)."""
    (path,) = data_set.header_path.parent.glob("*.mib")
    data = np.fromfile(path, np.uint8).reshape(len(data_set.images), -1)
    offset = int(bytes(data[0, :40]).split(b",")[2])
    return data[:, offset:]
