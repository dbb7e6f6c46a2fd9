"""A Stemwire server as a detector of LiberTEM-live, in LiberTEM-live's own words.

>>> from libertem_live.api import LiveContext
>>> import stemwire.libertem_live
>>> ctx = LiveContext()
>>> with ctx.make_connection("stemwire").open("tcp://merlin-server:7400") as conn:
...     aq = ctx.make_acquisition(conn=conn, nav_shape=(128, 128))
...     ctx.run_udf(dataset=aq, udf=SumUDF(), plots=True)

LiberTEM-live has no register of detectors, so that importing this module adds the name to
`LiveContext.make_connection`. Each process that computes fetches its own partitions while the scan goes on; any
executor will do, and several programs may do this at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from libertem.common import Shape
from libertem.io.dataset.base import BasePartition, DataSetException, DataSetMeta
from libertem_live.api import LiveContext
from libertem_live.detectors.base.acquisition import AcquisitionMixin, AcquisitionTimeout
from libertem_live.detectors.base.connection import DetectorConnection, PendingAcquisition
from libertem_live.hooks import Hooks, ReadyForDataEnv
from sparseconverter import NUMPY

from .connection import Connection, connect
from .errors import DetectorRefused, InvalidArgument, StemwireError, WrongState
from .libertem import StemwireDataSet, StemwirePartition
from .status import AcquisitionStatus, Status

_POLL_SECONDS = 0.02
_FRAMES_PER_PARTITION = 256
_DTYPES = {1: "uint8", 6: "uint8", 12: "uint16", 24: "uint32"}


class StemwirePendingAcquisition(PendingAcquisition):  # type: ignore[misc]
    """An acquisition that has begun."""

    def __init__(self, status: AcquisitionStatus) -> None:
        self._status = status

    @property
    def acquisition(self) -> uuid.UUID:
        return self._status.acquisition

    @property
    def nimages(self) -> int:
        return prod(self._status.nav_shape)

    @property
    def nav_shape(self) -> tuple[int, ...] | None:
        return self._status.nav_shape


class StemwireDetectorConnection(DetectorConnection):  # type: ignore[misc]
    """A connection to a server; `LiveContext.make_connection("stemwire").open(…)` makes one."""

    def __init__(self, address: str, *, trigger: str | None = "soft", timeout: float = 60.0, **options: Any) -> None:
        """
        address: of the server's control socket. trigger: in active mode, how acquisitions are armed and begun: soft;
        internal; None leaves the detector as it is set, and the trigger to `Hooks.on_ready_for_data` or to the
        microscope. timeout: seconds without a new frame after which reading is given up. options: as of
        `stemwire.connect`.
        """
        self.address = address
        self.trigger = trigger
        self.timeout = timeout
        self.options = options
        self._server: Connection | None = None
        self._given = self.server.status().latest_generation

    @property
    def server(self) -> Connection:
        """For all that LiberTEM-live has no words for."""
        if self._server is None:
            self._server = connect(self.address, **self.options)
        return self._server

    def wait_for_acquisition(self, timeout: float | None = None) -> PendingAcquisition | None:
        """Waits until somebody else begins an acquisition; None on timeout. Each is given once, also one that was
        over before this was called."""
        found = self.next_acquisition(self._given + 1, timeout)
        if found is not None:
            self._given = found.generation
        return None if found is None else StemwirePendingAcquisition(found)

    def next_acquisition(self, generation: int, timeout: float | None) -> AcquisitionStatus | None:
        """The first acquisition with frames from this generation on."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            status = self.server.status()
            for each in _known(status):
                if each.generation >= generation and each.nav_shape:
                    return each
            if until is not None and time.monotonic() >= until:
                return None
            time.sleep(_POLL_SECONDS)

    def read_sig_shape(self) -> tuple[int, int]:
        """Of the next frames, (y, x), as the detector is set; as the last ones where it does not tell."""
        try:
            return int(self.server.get("IMAGEY")), int(self.server.get("IMAGEX"))
        except (DetectorRefused, InvalidArgument, ValueError):
            for each in reversed(_known(self.server.status())):
                if len(each.sig_shape) == 2:
                    return each.sig_shape[0], each.sig_shape[1]
            raise DataSetException("neither the detector nor an earlier acquisition tells the size of frames") from None

    def read_dtype(self) -> np.dtype[Any]:
        try:
            depth = int(self.server.get("COUNTERDEPTH"))
        except (DetectorRefused, InvalidArgument, ValueError):
            depth = 0
        return np.dtype(_DTYPES.get(depth, "uint32"))

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def get_acquisition_cls(self) -> type[StemwireAcquisition]:
        return StemwireAcquisition


class StemwireAcquisition(AcquisitionMixin, StemwireDataSet):  # type: ignore[misc]
    """An acquisition of a server; `LiveContext.make_acquisition` makes one.

    Without a `pending_aq`, running a UDF on it arms the detector, calls `Hooks.on_ready_for_data`, and triggers.
    """

    def __init__(
        self,
        *,
        conn: StemwireDetectorConnection,
        nav_shape: tuple[int, ...] | None = None,
        frames_per_partition: int | None = None,
        controller: Any = None,
        pending_aq: StemwirePendingAcquisition | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._acquisition: uuid.UUID | None = None
        AcquisitionMixin.__init__(
            self,
            conn=conn,
            nav_shape=nav_shape,
            frames_per_partition=frames_per_partition or _FRAMES_PER_PARTITION,
            controller=controller,
            pending_aq=pending_aq,
            hooks=hooks,
        )
        self._address = conn.address
        self._timeout = conn.timeout

    def initialize(self, executor: Any) -> StemwireAcquisition:
        conn: StemwireDetectorConnection = self._conn
        try:
            if self._pending_aq is not None:
                self._acquisition = self._pending_aq.acquisition
                StemwireDataSet.initialize(self, executor)
                self._reshape()
                return self
            self._describe((*self._nav_shape, *conn.read_sig_shape()), conn.read_dtype())
        except StemwireError as error:
            raise DataSetException(str(error)) from error
        return self

    def _reshape(self) -> None:
        """The nav shape may be another one of the same positions, as the user said."""
        there = int(self.shape.nav.size)
        if prod(self._nav_shape) != there:
            raise DataSetException(f"nav_shape {self._nav_shape} for an acquisition of {there} scan positions")
        self._describe((*self._nav_shape, *self.shape.sig), self.dtype)

    def _describe(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape = Shape(shape, sig_dims=2)
        self._image_count = self._nav_shape_product = int(self._shape.nav.size)
        self._sync_offset_info = self.get_sync_offset_info()
        self._meta = DataSetMeta(
            shape=self._shape, array_backends=(NUMPY,), raw_dtype=dtype, dtype=dtype, image_count=self._image_count
        )

    def start_acquisition(self) -> None:
        """Arms and triggers, in active mode; called by `run_udf`."""
        if self._pending_aq is not None:
            return
        conn: StemwireDetectorConnection = self._conn
        server = conn.server
        before = server.status().latest_generation
        server.arm(self._nav_shape, frames=prod(self._nav_shape), trigger=conn.trigger)
        self._hooks.on_ready_for_data(ReadyForDataEnv(aq=self))
        if conn.trigger == "soft":
            try:
                server.trigger()
            except WrongState:
                # The hook has triggered it.
                if server.status().latest_generation == before:
                    raise
        found = conn.next_acquisition(before + 1, conn.timeout)
        if found is None:
            raise AcquisitionTimeout(
                f"no frame came within {conn.timeout:g} s after the detector was armed: trigger it in "
                "Hooks.on_ready_for_data, or open the connection with trigger='soft'"
            )
        conn._given = found.generation
        self._acquisition = found.acquisition
        expected = (tuple(self.shape.sig), prod(self._nav_shape))
        if (tuple(found.sig_shape), prod(found.nav_shape)) != expected:
            raise DataSetException(
                f"the detector sends frames of {found.sig_shape} on a scan of {found.nav_shape}, where "
                f"{tuple(self.shape.sig)} and {self._nav_shape} were expected"
            )

    def end_acquisition(self) -> None:
        """The server goes on by itself."""

    def get_num_partitions(self) -> int:
        return max(1, int(self._image_count) // int(self._frames_per_partition))

    def get_partitions(self) -> Iterator[StemwirePartition]:
        acquisition = self._acquisition or uuid.UUID(int=0)
        for part_slice, start, stop in BasePartition.make_slices(self.shape, self.get_num_partitions()):
            yield StemwirePartition(
                self._meta, part_slice, range(start, stop), self._address, acquisition, self._missing, self._timeout
            )


class StemwireConnectionBuilder:
    """What `LiveContext.make_connection("stemwire")` gives."""

    def open(
        self,
        address: str = "tcp://127.0.0.1:7400",
        *,
        trigger: str | None = "soft",
        timeout: float = 60.0,
        **options: Any,
    ) -> StemwireDetectorConnection:
        """Connects to a server; see `StemwireDetectorConnection`."""
        return StemwireDetectorConnection(address, trigger=trigger, timeout=timeout, **options)


def _known(status: Status) -> tuple[AcquisitionStatus, ...]:
    return (*status.ended, *([status.acquisition] if status.acquisition is not None else []))


def _register() -> None:
    present = LiveContext.make_connection
    if getattr(present, "has_stemwire", False):
        return

    def make_connection(self: Any, detector_type: str) -> Any:
        return StemwireConnectionBuilder() if detector_type == "stemwire" else present(self, detector_type)

    make_connection.__doc__ = present.__doc__
    make_connection.has_stemwire = True  # type: ignore[attr-defined]
    LiveContext.make_connection = make_connection


_register()
