"""LiberTEM-live as the client of a simulated detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from data_sets import DataSets
from detector_operator import DetectorPorts, Trigger
from libertem_client import LiberTEMClient
from libertem_worker import LiveJob, LiveResult
from merlin_files import MerlinDataSet
from merlin_formats import LIVE_FORMATS, MerlinFormat
from report import Check, expect, expect_equal_arrays
from simulators import Simulator

U16_SINGLE = MerlinFormat("U16", 12, "1x1")
R64_QUAD = MerlinFormat("R64", 12, "2x2")


class SimulatorChecks:
    def __init__(self, simulator: Simulator, client: LiberTEMClient, data_sets: DataSets) -> None:
        self._simulator = simulator
        self._client = client
        self._data_sets = data_sets
        self._section = f"LiberTEM <- {simulator.name}"

    def triggered_checks(self) -> Iterator[Check]:
        for format in LIVE_FORMATS:
            yield self._check("active and passive, soft trigger", format, self._triggered)

    def checks(self) -> Iterator[Check]:
        for format in LIVE_FORMATS:
            yield self._check("active and passive, soft trigger", format, self._triggered)
            yield self._check("untriggered, active and passive", format, self._untriggered)
            if format in (U16_SINGLE, R64_QUAD):
                yield self._check("several files, header without ScanX", format, self._several_files)
                yield self._check("passive, trigger socket", format, self._trigger_socket)
                yield self._check("stream kept in memory, both triggers", format, self._cached)
                yield self._check("garbage on connecting, drained", format, self._garbage)

    def _check(self, name: str, format: MerlinFormat, body: Callable[[MerlinFormat], None]) -> Check:
        return Check(self._section, name, format.name, lambda: body(format))

    def _triggered(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._simulator(data_set.header_path, "--wait-trigger") as ports:
            self._acquire(ports, data_set, "active", "soft", acquisitions=2)
            self._acquire(ports, data_set, "passive", "soft", acquisitions=3)

    def _untriggered(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._simulator(data_set.header_path) as ports:
            self._acquire(ports, data_set, "active", "none", acquisitions=2)
            self._acquire(ports, data_set, "passive", "none")

    def _several_files(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format, several_files=True)
        with self._simulator(data_set.header_path, "--wait-trigger") as ports:
            self._acquire(ports, data_set, "passive", "soft", nav_shape=data_set.nav_shape)

    def _trigger_socket(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._simulator(data_set.header_path, "--wait-trigger") as ports:
            results = self._acquire(ports, data_set, "passive", "socket", acquisitions=2)
            for result in results:
                expect("the trigger socket's answer", result.trigger_answer, "FINISH")

    def _cached(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._simulator(data_set.header_path, "--wait-trigger", *self._simulator.cached) as ports:
            self._acquire(ports, data_set, "passive", "soft", acquisitions=3)
        with self._simulator(data_set.header_path, *self._simulator.cached) as ports:
            self._acquire(ports, data_set, "active", "none", acquisitions=2)

    def _garbage(self, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with self._simulator(data_set.header_path, "--wait-trigger", "--garbage") as ports:
            self._acquire(ports, data_set, "active", "soft", acquisitions=2, drain=True)

    def _acquire(
        self,
        ports: DetectorPorts,
        data_set: MerlinDataSet,
        mode: Literal["active", "passive"],
        trigger: Trigger,
        *,
        acquisitions: int = 1,
        nav_shape: tuple[int, int] | None = None,
        drain: bool = False,
    ) -> list[LiveResult]:
        frames = data_set.images.shape[0]
        height, width = data_set.format.sig_shape
        settings = {} if self._simulator.knows_raw_gap else {"IMAGEX": width, "IMAGEY": height}
        job = LiveJob(
            ports=ports,
            mode=mode,
            trigger=trigger,
            # In passive mode the shape comes from ScanX and ScanY.
            nav_shape=data_set.nav_shape if mode == "active" else nav_shape,
            frames=frames,
            frames_per_trigger=frames,
            continuous=data_set.format.depth < 24,
            acquisitions=acquisitions,
            drain=drain,
            settings=settings,
            rest_seconds=self._simulator.rest_seconds,
        )
        results = self._client.acquire(job)
        for number, result in enumerate(results, start=1):
            where = f"{mode} acquisition {number}"
            expect(f"nav shape of {where}", result.nav_shape, data_set.nav_shape)
            expect_equal_arrays(f"sum of {where}", result.sum, data_set.sum)
            expect_equal_arrays(f"sumsig of {where}", result.sumsig, data_set.sumsig)
            expect(f"calls of on_ready_for_data in {where}", result.hook_calls, 1 if mode == "active" else 0)
            if mode == "passive":
                expect(f"frames announced in {where}", result.frames_announced, frames)
        return results
