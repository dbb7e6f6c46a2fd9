"""`stemwire run` on LiberTEM-live's simulator, on files, and on Stemwire's synthetic detector."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from data_sets import NAV_SHAPE, SEED, DataSets
from detector_operator import DetectorPorts
from libertem_client import LiberTEMClient
from libertem_worker import LiveJob
from merlin_files import MerlinDataSet
from merlin_formats import LIVE_FORMATS, RAW_24_BIT, MerlinFormat
from report import Check, CheckFailed, expect_equal_arrays
from simulators import LiberTEMSimulator, Simulator
from stemwire_run import expect_complete_run, stemwire_run

NAV_OPTION = ("--nav-shape", str(NAV_SHAPE[0]), str(NAV_SHAPE[1]))
HEADER_KEY = "Sensor Polarity (Positive, Negative)"
"""A key that Stemwire has no use for itself."""


class RunChecks:
    def __init__(self, binary: Path, data_sets: DataSets, folder: Path) -> None:
        self._binary = binary
        self._data_sets = data_sets
        self._folder = folder
        self._libertem_simulator = LiberTEMSimulator(folder)

    def checks(self) -> Iterator[Check]:
        for format in (*LIVE_FORMATS, *RAW_24_BIT):
            yield self._check("stemwire run FILE.hdr", "one file; several files", format, self._files)
        for format in (*LIVE_FORMATS, *RAW_24_BIT):
            section = "stemwire run <- LiberTEM-live sim"
            yield self._check(section, "untriggered", format, self._untriggered)
            yield self._check(section, "soft trigger, twice", format, self._soft_trigger)

    def _check(self, section: str, name: str, format: MerlinFormat, body: Callable[[MerlinFormat], None]) -> Check:
        return Check(section, name, format.name, lambda: body(format))

    def _files(self, format: MerlinFormat) -> None:
        for several_files in (False, True):
            data_set = self._data_sets.get(format, several_files=several_files)
            self._run(str(data_set.header_path), data_set)
            self._run(str(data_set.header_path), data_set, "--frames-per-partition", "7", *NAV_OPTION)

    def _untriggered(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._libertem_simulator(data_set.header_path) as ports:
            self._run(merlin_source(ports), data_set, *NAV_OPTION)

    def _soft_trigger(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._libertem_simulator(data_set.header_path, "--wait-trigger") as ports:
            for _ in range(2):
                self._run(merlin_source(ports), data_set, "--trigger", "soft", *NAV_OPTION)

    def _run(self, source: str, data_set: MerlinDataSet, *options: str) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder) as output_folder:
            output = stemwire_run(self._binary, source, Path(output_folder), *options)
        expect_complete_run(
            output,
            nav_shape=data_set.nav_shape,
            sum=data_set.sum,
            sumsig=data_set.sumsig,
            dtype=data_set.format.dtype,
            header_key=HEADER_KEY,
        )


class SyntheticChecks:
    """The synthetic detector: what LiberTEM-live sees is what `stemwire run` sees of an equal detector."""

    def __init__(self, binary: Path, simulator: Simulator, client: LiberTEMClient, folder: Path) -> None:
        self._binary = binary
        self._simulator = simulator
        self._client = client
        self._folder = folder

    def checks(self) -> Iterator[Check]:
        yield Check("stemwire sim synthetic", "LiberTEM passive = stemwire run, same seed", "default", self._same_sums)

    def _same_sums(self) -> None:
        options = (*NAV_OPTION, "--seed", str(SEED), "--wait-trigger")
        frames = NAV_SHAPE[0] * NAV_SHAPE[1]
        with self._simulator("synthetic", *options) as ports:
            job = LiveJob(ports, "passive", "soft", NAV_SHAPE, frames=frames, frames_per_trigger=frames)
            (seen,) = self._client.acquire(job)
        with (
            self._simulator("synthetic", *options) as ports,
            tempfile.TemporaryDirectory(dir=self._folder) as output_folder,
        ):
            run_options = ("--trigger", "soft", *NAV_OPTION)
            output = stemwire_run(self._binary, merlin_source(ports), Path(output_folder), *run_options)
        if not seen.sum.any() or len(set(seen.sumsig.ravel().tolist())) < frames // 2:
            raise CheckFailed("the synthetic scan has no structure")
        expect_equal_arrays("sum of stemwire run", output.sum, seen.sum)
        expect_equal_arrays("sumsig of stemwire run", output.sumsig, seen.sumsig)


def merlin_source(ports: DetectorPorts) -> str:
    return f"merlin://{ports.host}:{ports.control},{ports.data}"
