"""LiberTEM on the frames of a server: a data set whose partitions are fetched over ZeroMQ.

>>> import libertem.api as lt
>>> import stemwire.libertem
>>> ctx = lt.Context()
>>> ds = ctx.load("stemwire", address="tcp://merlin-server:7400")
>>> ctx.run_udf(ds, SumUDF())

The acquisition may still be running: partitions wait for their frames. Each process that computes fetches its own
partitions, so that any executor will do, and nothing but ranges of positions travels between them.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from libertem.common import Shape, Slice
from libertem.io.corrections import CorrectionSet
from libertem.io.dataset import register_dataset_cls
from libertem.io.dataset.base import DataSet, DataSetException, DataSetMeta, DataTile
from libertem.io.dataset.base.partition import Partition
from sparseconverter import NUMPY, for_backend

from ._io.client import Client
from ._io.reading import Block, BlockReader
from ._io.waiting import BlockingWaiter, run
from .errors import NotFound, StemwireError

_BLOCK_BYTES = 16 << 20
_MOST_LISTED = 5

_clients = threading.local()


def _client(address: str, timeout: float) -> Client:
    """This thread's connection to a server, kept for the next partition."""
    known: dict[tuple[int, str], Client] = vars(_clients).setdefault("known", {})
    key = (os.getpid(), address)
    found = known.get(key)
    if found is None or found.closed:
        found = known[key] = Client(address, BlockingWaiter(), timeout, None)
        run(found.open(wait=False))
    return found


class StemwireDataSet(DataSet):  # type: ignore[misc]
    """An acquisition that a server holds, running or over.

    Frames stay available as long as the server's memory for frames (`stemwire serve --ring`) holds them.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:7400",
        acquisition: str | uuid.UUID | None = None,
        missing: str = "error",
        timeout: float = 60.0,
        num_partitions: int | None = None,
        io_backend: Any = None,
    ) -> None:
        """
        address: of the server's control socket.
        acquisition: its id; without one, that which runs, else the last one.
        missing: what stands for frames that the detector never sent: error, or zeros. A ROI without them needs neither;
        see `received`.
        timeout: seconds without a new frame after which reading is given up.
        A server that asks for keys: each process takes its token from STEMWIRE_TOKEN, since secrets should not travel.
        """
        if io_backend is not None:
            raise ValueError("frames come from a Stemwire server; there is no other I/O back-end")
        if missing not in ("error", "zeros"):
            raise ValueError(f"missing is 'error' or 'zeros', not {missing!r}")
        super().__init__(num_partitions=num_partitions)
        self._address = address
        self._acquisition = uuid.UUID(acquisition) if isinstance(acquisition, str) else acquisition
        self._missing = missing
        self._timeout = timeout
        self._shape: Shape | None = None

    def initialize(self, executor: Any) -> StemwireDataSet:
        """Asks the server for shape and format."""
        try:
            client = _client(self._address, self._timeout)
            start = run(client.snapshot(acquisition=self._acquisition)).start
        except StemwireError as error:
            raise DataSetException(str(error)) from error
        if start is None:
            raise DataSetException(f"the server at {self._address} does not tell the format of that acquisition")
        self._acquisition = start.acquisition
        self._shape = Shape((*start.nav_shape, *start.format.sig_shape), sig_dims=2)
        self._image_count = self._nav_shape_product = int(self._shape.nav.size)
        self._sync_offset_info = self.get_sync_offset_info()
        self._meta = DataSetMeta(
            shape=self._shape,
            array_backends=(NUMPY,),
            raw_dtype=start.format.dtype,
            image_count=self._image_count,
            metadata=start.header,
        )
        return self

    @property
    def acquisition(self) -> uuid.UUID:
        """Id of the acquisition, for another data set of the same."""
        assert self._acquisition is not None
        return self._acquisition

    @property
    def received(self) -> npt.NDArray[np.bool_]:
        """Scan positions that have their frame or may still get it, in the scan's shape: a ROI for lossy scans."""
        client = _client(self._address, self._timeout)
        status = run(client.status())
        known = (*status.ended, *([status.acquisition] if status.acquisition is not None else []))
        mask = np.ones(self._image_count, np.bool_)
        for each in known:
            if each.acquisition == self._acquisition and each.end_reason:
                for positions in each.accounting.missing_ranges:
                    mask[positions.start : positions.stop] = False
        return mask.reshape(tuple(self.shape.nav))

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._meta.raw_dtype
        return dtype

    @property
    def shape(self) -> Shape:
        assert self._shape is not None
        return self._shape

    @property
    def array_backends(self) -> Sequence[Any]:
        return (NUMPY,)

    def check_valid(self) -> bool:
        """Runs where partitions will be read: the server has to be reachable from there."""
        try:
            run(_client(self._address, self._timeout).status())
        except StemwireError as error:
            raise DataSetException(f"from a worker: {error}") from error
        return True

    @classmethod
    def detect_params(cls, path: Any, executor: Any) -> bool:
        """Servers are named, not detected."""
        return False

    @classmethod
    def get_supported_io_backends(cls) -> list[str]:
        return []

    def get_io_backend(self) -> None:
        return None

    def need_decode(self, read_dtype: Any, roi: Any, corrections: Any) -> bool:
        return True

    def get_max_io_size(self) -> int:
        return 1 << 20

    def get_diagnostics(self) -> list[dict[str, str]]:
        return [
            {"name": "Server", "value": self._address},
            {"name": "Acquisition", "value": str(self._acquisition)},
            {"name": "dtype", "value": str(self.dtype)},
        ]

    def get_cache_key(self) -> str:
        return f"stemwire:{self._acquisition}"

    def get_partitions(self) -> Iterator[StemwirePartition]:
        for part_slice, start, stop in self.get_slices():
            yield StemwirePartition(
                self._meta,
                part_slice,
                range(start, stop),
                self._address,
                self.acquisition,
                self._missing,
                self._timeout,
            )


class StemwirePartition(Partition):  # type: ignore[misc]
    """A range of scan positions; holds no connection, so that it can go to any process."""

    def __init__(
        self,
        meta: DataSetMeta,
        partition_slice: Slice,
        positions: range,
        address: str,
        acquisition: uuid.UUID,
        missing: str,
        timeout: float,
    ) -> None:
        super().__init__(meta=meta, partition_slice=partition_slice, io_backend=None, decoder=None)
        self._positions = positions
        self._address = address
        self._acquisition = acquisition
        self._missing = missing
        self._timeout = timeout
        self._corrections = CorrectionSet()

    def set_corrections(self, corrections: CorrectionSet | None) -> None:
        self._corrections = corrections

    def get_locations(self) -> None:
        return None

    def get_max_io_size(self) -> int:
        return 1 << 20

    def get_tiles(
        self, tiling_scheme: Any, dest_dtype: Any = "float32", roi: Any = None, array_backend: Any = None
    ) -> Iterator[DataTile]:
        """Tiles of the partition's frames, those in `roi`, as they come from the server."""
        scheme = tiling_scheme.adjust_for_partition(self)
        dtype = np.dtype(dest_dtype)
        wanted = np.arange(self._positions.start, self._positions.stop)
        origin = self._positions.start
        if roi is not None:
            flat = np.asarray(roi).reshape(-1)
            wanted = wanted[flat[wanted]]
            origin = int(np.count_nonzero(flat[: self._positions.start]))
        if not len(wanted):
            return
        depth = int(scheme.depth)
        frame_bytes = int(self.meta.shape.sig.size) * dtype.itemsize
        step = depth * max(1, _BLOCK_BYTES // max(1, depth * frame_bytes))
        blocks = [wanted[at : at + step] for at in range(0, len(wanted), step)]
        backend = self.meta.array_backends[0] if array_backend is None else array_backend
        for frames in self._frames(blocks, dtype):
            for at in range(0, len(frames), depth):
                stack = frames[at : at + depth]
                for index, sig in scheme.slices:
                    part = (slice(None), *sig.get())
                    data = np.ascontiguousarray(stack[part])
                    tile_slice = Slice(origin=(origin, *sig.origin), shape=Shape(data.shape, sig_dims=2))
                    if self._corrections is not None:
                        self._corrections.apply(data, tile_slice)
                    yield DataTile(for_backend(data, backend), tile_slice, index)
                origin += len(stack)

    def _frames(self, blocks: Sequence[npt.NDArray[np.int_]], dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
        try:
            client = _client(self._address, self._timeout)
            reader = BlockReader(client, self._acquisition, [_runs(each) for each in blocks], self._timeout)
            with closing(reader):
                for positions in blocks:
                    block = run(reader.next())
                    assert block is not None
                    yield self._stack(block, positions, dtype)
        except NotFound as error:
            raise DataSetException(f"acquisition {self._acquisition}: {error}") from error
        except StemwireError as error:
            raise DataSetException(str(error)) from error

    def _stack(self, block: Block, positions: npt.NDArray[np.int_], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        released = [each.positions for each in block.unavailable if each.reason == "released"]
        missing = [each.positions for each in block.unavailable if each.reason != "released"]
        if released:
            raise DataSetException(
                f"the server does not hold the frames of positions {_listed(released)} any more: give it more memory "
                "(stemwire serve --ring), or read while the acquisition runs"
            )
        if missing and self._missing == "error":
            raise DataSetException(
                f"the detector did not send the frames of positions {_listed(missing)}: leave them out with "
                "roi=ds.received, or load with missing='zeros'"
            )
        make = np.zeros if missing else np.empty
        stack: npt.NDArray[Any] = make((len(positions), *self.meta.shape.sig), dtype)
        for tile in block.tiles:
            at = int(np.searchsorted(positions, tile.first_position))
            tile.decoded(out=stack[at : at + tile.count])
        return stack


def _runs(positions: npt.NDArray[np.int_]) -> list[range]:
    """Ascending positions as ranges."""
    cuts = [0, *(np.flatnonzero(np.diff(positions) > 1) + 1).tolist(), len(positions)]
    return [range(int(positions[low]), int(positions[high - 1]) + 1) for low, high in pairwise(cuts)]


def _listed(ranges: Sequence[range]) -> str:
    shown = [f"{each.start} … {each.stop - 1}" if len(each) > 1 else f"{each.start}" for each in ranges[:_MOST_LISTED]]
    return ", ".join(shown) + (", …" if len(ranges) > _MOST_LISTED else "")


register_dataset_cls("stemwire", "stemwire.libertem.StemwireDataSet")
