"""Runs LiberTEM's UDFs, unchanged, through LiberTEM's own UDF runner.

All LiberTEM UDFs of a plan go in one pass, as in `Context.run_udf(dataset, [udf, …])`. The server merges partitions in
rising order, each onto what there is, as LiberTEM's inline executor does: the result has the same bits.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import sparse
from libertem.common import Shape, Slice
from libertem.common.executor import Environment
from libertem.executor.inline import InlineJobExecutor
from libertem.io.corrections import CorrectionSet
from libertem.io.dataset.base import DataSet, DataSetMeta, DataTile
from libertem.io.dataset.base.partition import Partition
from libertem.udf import UDF
from libertem.udf.base import MergeAttrMapping, UDFData, UDFPartRunner, UDFRunner
from sparseconverter import for_backend

from .frames import PartitionFrames
from .plans import WIRE_DTYPES, Array, Corrections, Meta, PlanError, PlanRequest, Request
from .recording import SharedFile
from .sections import Computed, Declaration, Planned, Section, content_hash

_FOLDED = "libertem.folded"
"""1 in buffers that have been merged: those of a single partition are merged with fresh ones first, as LiberTEM
does."""
_WIDER = {"int8": "int32", "int16": "int32", "float16": "float32"}


class LiberTEMUDFs:
    """The LiberTEM UDFs of a plan."""

    def __init__(self, plan: PlanRequest, udfs: Sequence[tuple[Request, int, UDF]], threads: int) -> None:
        self._meta = meta = plan.meta
        self._roi = None if meta.roi is None else meta.roi.reshape(meta.nav_shape)
        self._corrections = _correction_set(plan.corrections)
        self._files = [_share_file(udf, plan) for _, _, udf in udfs]
        self._data_set = LiveDataSet(meta, plan.source_dtype)
        self._environment = Environment(threads_per_worker=threads, threaded_executor=False)
        instances = [_with_auxiliary(udf, request, meta) for request, _, udf in udfs]
        runner = UDFRunner(instances)
        results, _, self._parameters = runner.results_for_dataset_sync(
            dataset=self._data_set,
            executor=InlineJobExecutor(inline_threads=threads),
            environment=self._environment,
            roi=self._roi,
            corrections=self._corrections,
            dry=True,
        )
        results.close()
        self.udfs = [
            LiberTEMUDF(instance, request, version, meta)
            for instance, (request, version, _) in zip(instances, udfs, strict=True)
        ]

    def process(self, frames: PartitionFrames) -> list[Section]:
        if not frames.count:
            return []
        partition = LivePartition(self._data_set, frames)
        instances = [each.udf.copy_for_partition(partition, self._roi) for each in self.udfs]
        results = UDFPartRunner(instances).run_for_partition(
            partition, self._parameters, self._environment, backend_choice=None
        )
        return [each.section(result, frames) for each, result in zip(self.udfs, results, strict=True)]

    def close(self, is_over: bool) -> None:
        """`is_over`: no worker works on the plan any more."""
        for each in self._files:
            if each is not None and is_over:
                each.release()


class LiberTEMUDF:
    """One of them: what it declares, merges and computes."""

    def __init__(self, udf: UDF, request: Request, version: int, meta: Meta) -> None:
        self.udf = udf
        self._meta = meta
        self._roi = np.ones(meta.positions, np.bool_) if meta.roi is None else meta.roi
        buffers: Mapping[str, Any] = udf.get_result_buffers()
        self._uses = {name: buffer.use for name, buffer in buffers.items()}
        overrides = type(udf).get_results is not UDF.get_results
        made = _result_dtypes(udf, int(np.count_nonzero(self._roi))) if overrides else {}
        declarations: list[Declaration] = []
        self._wire_names: dict[str, str] = {}
        for name, buffer in buffers.items():
            dtype = _wire_dtype(name, buffer.dtype)
            shape = tuple(buffer.extra_shape)
            if buffer.kind == "single":
                shape = tuple(udf.results.get_buffer(name).shape)
            use = {None: "exported", "private": "private", "result_only": "result_only"}[buffer.use]
            shown = _wire_dtype(name, made.get(name, dtype))
            if use == "exported" and overrides:
                # get_results() may show something else under the name.
                self._wire_names[name] = f"{name}.merged"
                declarations.append(Declaration(f"{name}.merged", buffer.kind, dtype, shape, "private", "custom"))
                declarations.append(Declaration(name, buffer.kind, shown, shape, "result_only", "custom"))
                continue
            self._wire_names[name] = name
            dtype = shown if use == "result_only" else dtype
            declarations.append(Declaration(name, buffer.kind, dtype, shape, use, "custom"))
        self._merged = [name for name in buffers if buffers[name].use != "result_only"]
        self._kinds = {name: buffer.kind for name, buffer in buffers.items()}
        self._reduced = [name for name in self._merged if self._kinds[name] != "nav"]
        if self._reduced:
            declarations.append(Declaration(_FOLDED, "single", np.dtype(np.uint8), (1,), "private", "custom"))
        self._fresh = {name: np.array(udf.results.get_buffer(name).raw_data) for name in self._merged}
        self.planned = Planned(
            request.id,
            request.name,
            version,
            content_hash(request.name, version, json.dumps(request.parameters, sort_keys=True)),
            "sequence" if self._reduced else "partition",
            tuple(declarations),
        )

    def section(self, results: UDFData, frames: PartitionFrames) -> Section:
        """What a partition's results are on the wire."""
        rows = range(frames.positions[0].start, frames.positions[-1].stop)
        # LiberTEM leaves out what is not in the region of interest, but knows nothing of missing frames.
        selected = self._roi[frames.span.start : frames.span.stop]
        made: dict[str, Array] = {}
        for name in self._merged:
            data = np.asarray(results.get_buffer(name).raw_data)
            if self._kinds[name] == "nav":
                expanded = np.zeros((len(frames.span), *data.shape[1:]), data.dtype)
                expanded[selected] = data
                data = expanded[rows.start - frames.span.start : rows.stop - frames.span.start]
            made[self._wire_names[name]] = data
        made[_FOLDED] = np.zeros(1, np.uint8)
        buffers = tuple(np.ascontiguousarray(made[each.name], each.dtype) for each in self.planned.merged)
        return Section(self.planned, tuple(frames.positions), buffers)

    def merge(self, left: Sequence[Array], right: Sequence[Array]) -> list[Array]:
        """Buffers of kind sig and single, then the mark of what has been merged."""
        folded = self._fold(left)
        self._merge_into(folded, right)
        return [*self._to_wire(folded), np.ones(1, np.uint8)]

    def results(self, processed: npt.NDArray[np.bool_], merged: Sequence[Array]) -> list[Computed]:
        wanted = [each for each in self.planned.declarations if not each.is_merged]
        if not wanted:
            return []
        declared = self.planned.merged
        arrays = {each.name: array for each, array in zip(declared, merged, strict=True)}
        valid = processed[self._roi]
        self.udf.meta.set_valid_nav_mask(valid)
        reduced = [arrays[self._wire_names[name]] for name in self._reduced]
        folded = self._fold([*reduced, arrays[_FOLDED]]) if self._reduced and processed.any() else None
        for name in self._merged:
            buffer = self.udf.results.get_buffer(name).raw_data
            if self._kinds[name] == "nav":
                rows = arrays[self._wire_names[name]].reshape(self._meta.positions, *buffer.shape[1:])[self._roi]
                buffer[...] = self._fresh[name]
                buffer[valid] = rows[valid]
            else:
                buffer[...] = self._fresh[name] if folded is None else folded[name]
        self.udf.clear_views()
        made = self.udf._do_get_results()
        return [self._computed(each, made[each.name]) for each in wanted]

    def _computed(self, declared: Declaration, result: Any) -> Computed:
        data = np.asarray(result.raw_data)
        if declared.kind != "nav":
            return Computed(declared.name, np.ascontiguousarray(data, declared.dtype))
        missing = np.nan if declared.dtype.kind in "fc" else 0
        full = np.full((self._meta.positions, *declared.extra_shape), missing, declared.dtype)
        full[self._roi] = data.reshape(-1, *declared.extra_shape)
        mask = np.zeros(self._meta.positions, np.bool_)
        flags = np.asarray(result.valid_mask).reshape(-1)
        if flags.size == mask.size * prod(declared.extra_shape):
            mask[:] = flags.reshape(mask.size, -1).any(axis=1)
        else:
            mask[self._roi] = flags.reshape(int(self._roi.sum()), -1).any(axis=1)
        full = full.reshape(*self._meta.nav_shape, *declared.extra_shape)
        return Computed(declared.name, full, mask)

    def _fold(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Buffers that something can be merged into: of what LiberTEM's run begins with, and these."""
        *reduced, mark = arrays
        given = self._from_wire(reduced)
        if mark[0]:
            return given
        fresh = {name: self._fresh[name].copy() for name in self._reduced}
        self._merge_into(fresh, arrays)
        return fresh

    def _merge_into(self, folded: dict[str, Array], arrays: Sequence[Array]) -> None:
        source = self._from_wire(arrays[:-1])
        # Rows of nav buffers go to their places without the UDF.
        rows = {name: np.zeros((0, *self._fresh[name].shape[1:]), self._fresh[name].dtype) for name in self._merged}
        destination = MergeAttrMapping({**rows, **folded})
        self.udf.meta.set_valid_nav_mask(np.zeros(int(self._roi.sum()), np.bool_))
        self.udf.merge(dest=destination, src=MergeAttrMapping({**rows, **source}))

    def _from_wire(self, arrays: Sequence[Array]) -> dict[str, Array]:
        pairs = zip(self._reduced, arrays, strict=True)
        return {name: np.array(array, self._fresh[name].dtype) for name, array in pairs}

    def _to_wire(self, arrays: Mapping[str, Array]) -> list[Array]:
        declared = {each.name: each for each in self.planned.merged}
        return [np.ascontiguousarray(arrays[name], declared[self._wire_names[name]].dtype) for name in self._reduced]


class LiveDataSet(DataSet):  # type: ignore[misc]
    """An acquisition that LiberTEM plans for; its frames come partition by partition."""

    def __init__(self, meta: Meta, dtype: np.dtype[Any]) -> None:
        super().__init__()
        self.run = meta
        self._dtype = dtype
        self._meta = DataSetMeta(
            shape=self.shape, array_backends=None, raw_dtype=dtype, dtype=dtype, image_count=meta.positions
        )

    @property
    def meta(self) -> DataSetMeta:
        return self._meta

    @property
    def shape(self) -> Shape:
        return Shape((*self.run.nav_shape, *self.run.sig_shape), sig_dims=2)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    def initialize(self, executor: Any) -> LiveDataSet:
        return self

    def check_valid(self) -> bool:
        return True

    def need_decode(self, read_dtype: Any, roi: Any, corrections: Any) -> bool:
        return bool(np.dtype(read_dtype) != self._dtype or (corrections is not None and corrections.have_corrections()))

    def get_partitions(self) -> Iterator[LivePartition]:
        """Without frames: LiberTEM plans by the first one."""
        for index in range(self.run.partitions):
            yield LivePartition(self, PartitionFrames(self.run, index, ()))


class LivePartition(Partition):  # type: ignore[misc]
    """A partition whose frames are here."""

    def __init__(self, data_set: LiveDataSet, frames: PartitionFrames) -> None:
        span = frames.span
        super().__init__(
            meta=data_set.meta,
            partition_slice=Slice(
                origin=(span.start, 0, 0), shape=Shape((len(span), *data_set.run.sig_shape), sig_dims=2)
            ),
            io_backend=None,
            decoder=None,
        )
        self._frames = frames
        self._corrections = CorrectionSet()

    def set_corrections(self, corrections: CorrectionSet | None) -> None:
        self._corrections = corrections

    def get_locations(self) -> None:
        return None

    def get_tiles(
        self, tiling_scheme: Any, dest_dtype: Any = "float32", roi: Any = None, array_backend: Any = None
    ) -> Iterator[DataTile]:
        scheme = tiling_scheme.adjust_for_partition(self)
        backend = self.meta.array_backends[0] if array_backend is None else array_backend
        if scheme.intent == "partition" and self._frames.count != self.slice.adjust_for_roi(roi).shape[0]:
            raise PlanError("process_partition() of LiberTEM needs all frames, and some of this partition are missing")
        depth = len(self._frames.span) if scheme.intent == "partition" else int(scheme.depth)
        earlier = (
            self._frames.span.start
            if roi is None
            else int(np.count_nonzero(roi.reshape(-1)[: self._frames.span.start]))
        )
        # One array for all tiles of a shape stays in the processor's cache.
        arrays: dict[tuple[int, ...], Array] = {}
        for first, runs in self._frames.stacks(depth):
            for index, sig in scheme.slices:
                shape = (sum(map(len, runs)), *sig.shape)
                data = arrays.get(shape)
                if data is None:
                    data = arrays[shape] = np.empty(shape, dest_dtype)
                self._read(runs, sig.get(), data)
                where = Slice(origin=(earlier + first, *sig.origin), shape=Shape(shape, sig_dims=2))
                if self._corrections is not None and self._corrections.have_corrections():
                    self._corrections.apply(data, where)
                yield DataTile(for_backend(data, backend), where, index)

    def _read(self, runs: Sequence[range], sig: tuple[slice, ...], out: Array) -> None:
        at = 0
        for run in runs:
            self._frames.read(run, out[at : at + len(run)], sig)
            at += len(run)


def _correction_set(corrections: Corrections) -> CorrectionSet | None:
    if corrections.is_empty:
        return None
    excluded = None if corrections.excluded is None else sparse.COO.from_numpy(corrections.excluded)
    return CorrectionSet(
        dark=corrections.dark, gain=corrections.gain, excluded_pixels=excluded, allow_empty=corrections.keeps_isolated
    )


def _with_auxiliary(udf: UDF, request: Request, meta: Meta) -> UDF:
    """The UDF with its values for each scan position among its parameters."""
    if not request.auxiliary:
        return udf
    axes = len(meta.nav_shape)
    values = {
        name: UDF.aux_data(array.reshape(-1), kind="nav", extra_shape=array.shape[axes:], dtype=array.dtype)
        for name, array in request.auxiliary.items()
    }
    return type(udf)(**{**udf._kwargs, **values})


def _share_file(udf: UDF, plan: PlanRequest) -> SharedFile | None:
    """LiberTEM has one process make the file of a recorder; here, it is the first worker that is there."""
    if not isinstance(udf, _recorders()):
        return None
    udf._is_master = False
    meta = plan.meta
    shape = (*meta.nav_shape, *meta.sig_shape)
    return SharedFile(udf.params.filename, str(meta.acquisition), shape, meta.dtype)


def _recorders() -> Any:
    """LiberTEM's and LiberTEM-live's, which are two classes of the same making."""
    from libertem.udf.record import RecordUDF

    try:
        from libertem_live.udf.record import RecordUDF as LiveRecordUDF
    except ImportError:
        return (RecordUDF,)
    return (RecordUDF, LiveRecordUDF)


def _result_dtypes(udf: UDF, positions: int) -> dict[str, np.dtype[Any]]:
    """Of what `get_results` makes: LiberTEM lets it differ from the declaration, as float64 from float32."""
    for valid in (False, True):
        udf.meta.set_valid_nav_mask(np.full(positions, valid))
        udf.clear_views()
        # On buffers in which nothing is yet, a UDF may divide by zero, or fail.
        with suppress(Exception), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: np.asarray(result.raw_data).dtype for name, result in udf._do_get_results().items()}
    return {}


def _wire_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    found = np.dtype(dtype)
    wire: np.dtype[Any] = np.dtype(_WIDER.get(found.name, found.name))
    if wire.name not in WIRE_DTYPES:
        raise PlanError(f"the buffer {name} is of {found}, which cannot be sent")
    return wire
