"""Runs UDFs that are written against numpy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .frames import Corrector, PartitionFrames
from .plans import WIRE_DTYPES, Array, PlanError, PlanRequest, Request
from .sections import Computed, Declaration, Planned, Section, content_hash
from .udf import ORDERS, UDF, Arrays, Buffer

_TILE_BYTES = 1 << 20


class NativeUDF:
    """One numpy UDF of a plan."""

    def __init__(self, udf: UDF, request: Request, version: int, plan: PlanRequest) -> None:
        self.meta = udf.meta = plan.meta
        self._udf = udf
        self._request = request
        self._corrector = None if plan.corrections.is_empty else Corrector(plan.corrections, self.meta.sig_shape)
        self._buffers = dict(udf.get_result_buffers())
        for name, buffer in self._buffers.items():
            _check(name, buffer)
        dtype = udf.input_dtype
        self._dtype = self.meta.dtype if dtype is None else np.dtype(dtype)
        self._process = _method(udf)
        frame_bytes = max(1, int(np.prod(self.meta.sig_shape)) * self._dtype.itemsize)
        depth = udf.tile_depth or max(1, _TILE_BYTES // frame_bytes)
        self._depth = self.meta.frames_per_partition if self._process == "partition" else depth
        self._merged = {name: buffer for name, buffer in self._buffers.items() if buffer.is_merged}
        self._stack: Array | None = None
        self.planned = Planned(
            request.id,
            request.name,
            version,
            content_hash(request.name, version, json.dumps(request.parameters, sort_keys=True)),
            self._order(udf),
            tuple(
                Declaration(name, each.kind, each.dtype, each.extra_shape, each.use, each.merge)
                for name, each in self._buffers.items()
            ),
        )

    def _order(self, udf: UDF) -> str:
        if udf.order not in ORDERS:
            raise PlanError(f"{self._request.name} has the order {udf.order!r}; known are {', '.join(ORDERS)}")
        if udf.order != "automatic":
            return udf.order
        exact = all(
            each.merge in ("positions", "minimum", "maximum", "overwrite")
            or (each.merge == "sum" and each.dtype.kind in "ui")
            for each in self._merged.values()
        )
        return "partition" if exact else "fixedTree"

    def process(self, frames: PartitionFrames) -> Section | None:
        if not frames.count:
            return None
        udf, first = self._udf, frames.positions[0].start
        rows = range(first, frames.positions[-1].stop)
        buffers = {
            name: each.neutral((len(rows), *each.extra_shape) if each.kind == "nav" else each.shape(self.meta))
            for name, each in self._merged.items()
        }
        udf.results, udf.positions = Arrays(buffers), rows
        udf.auxiliary = self._auxiliary(rows)
        udf.preprocess()
        for positions, stack in self._stacks(frames):
            if self._process == "frame":
                for index, position in enumerate(positions):
                    self._show(buffers, range(position, position + 1), first)
                    udf.process_frame(stack[index])  # type: ignore[attr-defined]
            elif self._process == "tile":
                self._show(buffers, positions, first)
                udf.process_tile(stack)  # type: ignore[attr-defined]
            else:
                udf.results, udf.positions = Arrays(buffers), positions
                udf.process_partition(stack)  # type: ignore[attr-defined]
        udf.results, udf.positions = Arrays(buffers), rows
        udf.postprocess()
        return Section(self.planned, tuple(frames.positions), tuple(buffers.values()))

    def _stacks(self, frames: PartitionFrames) -> Any:
        shape = self.meta.sig_shape
        if self._process == "partition":
            whole = np.empty((frames.count, *shape), self._dtype)
            at = 0
            for run in frames.positions:
                self._read(frames, run, whole[at : at + len(run)])
                at += len(run)
            yield range(frames.positions[0].start, frames.positions[-1].stop), whole
            return
        if self._stack is None:
            self._stack = np.empty((self._depth, *shape), self._dtype)
        for positions in frames.stretches(self._depth):
            stack = self._stack[: len(positions)]
            self._read(frames, positions, stack)
            yield positions, stack

    def _read(self, frames: PartitionFrames, positions: range, out: Array) -> None:
        if self._corrector is None:
            frames.read(positions, out)
            return
        corrected = np.empty(out.shape, self.meta.dtype)
        frames.read(positions, corrected)
        self._corrector.apply(corrected)
        np.copyto(out, corrected, casting="unsafe")

    def _show(self, buffers: dict[str, Array], positions: range, first: int) -> None:
        """Lets the UDF see the rows of some positions."""
        part = slice(positions.start - first, positions.stop - first)
        views = {name: array[part] if self._merged[name].kind == "nav" else array for name, array in buffers.items()}
        if self._process == "frame":
            views = {
                name: view[0] if self._merged[name].kind == "nav" and self._merged[name].extra_shape else view
                for name, view in views.items()
            }
        self._udf.results, self._udf.positions = Arrays(views), positions
        self._udf.auxiliary = self._auxiliary(positions)

    def _auxiliary(self, positions: range) -> Arrays:
        count = self.meta.positions
        axes = len(self.meta.nav_shape)
        return Arrays(
            {
                name: array.reshape(count, *array.shape[axes:])[positions.start : positions.stop]
                for name, array in self._request.auxiliary.items()
            }
        )

    def merge(self, left: Sequence[Array], right: Sequence[Array]) -> list[Array]:
        names = [name for name, each in self._merged.items() if each.kind != "nav"]
        dest = dict(zip(names, map(np.array, left), strict=True))
        self._udf.merge(Arrays(dest), Arrays(dict(zip(names, right, strict=True))))
        return [dest[name] for name in names]

    def results(self, processed: npt.NDArray[np.bool_], merged: Sequence[Array]) -> list[Computed]:
        udf = self._udf
        udf.results = Arrays(dict(zip(self._merged, merged, strict=True)))
        udf.processed = processed.reshape(self.meta.nav_shape)
        udf.auxiliary = self._auxiliary(range(self.meta.positions))
        made = dict(udf.get_results())
        computed = []
        for name, each in self._buffers.items():
            if each.is_merged:
                continue
            if name not in made:
                raise ValueError(f"get_results() made no {name!r}")
            value, valid = made[name] if isinstance(made[name], tuple) else (made[name], None)
            array = np.ascontiguousarray(np.broadcast_to(np.asarray(value), each.shape(self.meta)), each.dtype)
            computed.append(Computed(name, array, valid))
        return computed


def _method(udf: UDF) -> str:
    for method in ("tile", "frame", "partition"):
        if callable(getattr(udf, f"process_{method}", None)):
            return method
    raise PlanError(f"{type(udf).__name__} has none of process_tile, process_frame and process_partition")


def _check(name: str, buffer: Buffer) -> None:
    if buffer.dtype.name not in WIRE_DTYPES:
        known = ", ".join(sorted(WIRE_DTYPES))
        raise PlanError(f"the buffer {name} is of {buffer.dtype}; possible are {known}")
