"""A plan that is ready to be worked on, whatever its UDFs are written against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._wire import stemwire_pb2 as pb
from ..frames import Tile
from .frames import PartitionFrames
from .native import NativeUDF
from .offers import Offer, make_udf
from .plans import Array, PlanError, PlanRequest, Request, read_array, read_positions
from .sections import Section, bitmap, content_hash, header
from .udf import UDF

if TYPE_CHECKING:
    from .libertem import LiberTEMUDF, LiberTEMUDFs

_PART_BYTES = 256 << 20
_PARTS = 254
_HEADER_BYTES = 1 << 19
_RANGE_BYTES = 24


class UDFFailure(Exception):
    """A UDF failed on these frames or buffers."""

    def __init__(self, udf: str, message: str) -> None:
        super().__init__(message)
        self.udf = udf


class Plan:
    """Used by one thread."""

    def __init__(self, request: PlanRequest, offers: Mapping[str, Offer], threads: int) -> None:
        self._request = request
        self._native: list[NativeUDF] = []
        self._libertem: LiberTEMUDFs | None = None
        made: list[tuple[Request, Offer, Any]] = []
        for each in request.requests:
            offer = offers.get(each.name)
            if offer is None:
                known = ", ".join(sorted(offers))
                raise PlanError(f'there is no UDF "{each.name}" here; known are {known}', False)
            made.append((each, offer, make_udf(offer, each.parameters, request.meta)))
        foreign = [(each, offer.version, udf) for each, offer, udf in made if not isinstance(udf, UDF)]
        for each, offer, udf in made:
            if isinstance(udf, UDF):
                self._native.append(self._make_native(each, offer, udf))
        if foreign:
            self._libertem = _libertem(request, foreign, threads)
        parts: list[NativeUDF | LiberTEMUDF] = [*self._native, *(self._libertem.udfs if self._libertem else ())]
        self._by_id = {part.planned.id: part for part in parts}
        self._order = [each.id for each in request.requests]

    def _make_native(self, each: Request, offer: Offer, udf: UDF) -> NativeUDF:
        if offer.is_built_in and (not self._request.corrections.is_empty or each.parameters):
            raise PlanError(f"{each.name} is here for counts only, without corrections and parameters", False)
        native = NativeUDF(udf, each, offer.version, self._request)
        if offer.is_built_in and native.planned.content_hash != content_hash(each.name, offer.version, "{}"):
            raise PlanError(f"{each.name} is not the server's", False)
        return native

    @property
    def planned(self) -> list[pb.PlannedUdf]:
        return [self._by_id[each].planned.wire for each in self._order]

    def process(self, partition: int, tiles: Sequence[Tile]) -> tuple[pb.WorkResult, list[Array]]:
        """Raises `UDFFailure`."""
        try:
            frames = PartitionFrames(self._request.meta, partition, tiles)
        except ValueError as error:
            raise UDFFailure("", str(error)) from error
        sections: dict[str, Section] = {}
        for native in self._native:
            section = _guarded(native.planned.id, native.process, frames)
            if section is not None:
                sections[section.planned.id] = section
        if self._libertem is not None:
            names = ", ".join(each.planned.id for each in self._libertem.udfs)
            for section in _guarded(names, self._libertem.process, frames):
                sections[section.planned.id] = section
        ordered = [sections[each] for each in self._order if each in sections]
        payload = [buffer for section in ordered for buffer in section.buffers]
        _check_sizes(ordered, payload)
        result = pb.WorkResult(
            parameter_generation=self._request.generation, sections=[each.wire for each in ordered], frames=frames.count
        )
        return result, payload

    def merge(self, task: pb.MergeTask, parts: Sequence[memoryview]) -> tuple[pb.MergeTaskDone, list[Array]]:
        """Merges buffers, or computes results. What fails is in the answer."""
        try:
            return self._perform(task, parts)
        except Exception as error:
            return pb.MergeTaskDone(task=task.task, failure=f"{type(error).__name__}: {error}"), []

    def _perform(self, task: pb.MergeTask, parts: Sequence[memoryview]) -> tuple[pb.MergeTaskDone, list[Array]]:
        udf = self._by_id.get(task.udf)
        if udf is None:
            raise PlanError(f"the plan has no UDF {task.udf!r}")
        if len(task.arrays) != len(parts):
            raise PlanError(f"{len(parts)} payload parts for {len(task.arrays)} arrays")
        done = pb.MergeTaskDone(task=task.task)
        if task.kind == "merge":
            arrays = [read_array(each, part) for each, part in zip(task.arrays, parts, strict=True)]
            declared = [each for each in udf.planned.merged if each.kind != "nav"]
            if len(arrays) != 2 * len(declared):
                raise PlanError(f"{len(arrays)} buffers where {2 * len(declared)} are expected")
            half = len(declared)
            merged = udf.merge(arrays[:half], arrays[half:])
            done.arrays.extend(header(a, task.udf, d.name) for d, a in zip(declared, merged, strict=True))
            return done, merged
        if task.kind != "results":
            raise PlanError(f'the worker does not know merge tasks of kind "{task.kind}"')
        if not task.arrays or task.arrays[0].purpose != "roi":
            raise PlanError("the positions that were processed come first")
        processed = read_positions(task.arrays[0], parts[0], self._request.meta.positions)
        buffers = [read_array(each, part) for each, part in zip(task.arrays[1:], parts[1:], strict=True)]
        payload: list[Array] = []
        for computed in udf.results(processed, buffers):
            done.arrays.append(header(computed.array, task.udf, computed.name))
            payload.append(computed.array)
            if computed.valid is not None:
                mask = bitmap(computed.valid)
                done.arrays.append(header(mask, task.udf, computed.name, "roi"))
                payload.append(mask)
        return done, payload

    def close(self, is_over: bool) -> None:
        if self._libertem is not None:
            self._libertem.close(is_over)


def _libertem(request: PlanRequest, udfs: list[tuple[Request, int, Any]], threads: int) -> LiberTEMUDFs:
    try:
        from libertem.udf import UDF as LiberTEMBase

        from .libertem import LiberTEMUDFs
    except ImportError as error:
        name = udfs[0][0].name
        raise PlanError(f"{name} makes no stemwire.worker.UDF, and LiberTEM is not there: {error}") from error
    for each, _, udf in udfs:
        if not isinstance(udf, LiberTEMBase):
            raise PlanError(f"{each.name} makes a {type(udf).__name__}, which is no UDF")
    try:
        return LiberTEMUDFs(request, udfs, threads)
    except PlanError:
        raise
    except Exception as error:
        names = ", ".join(each.name for each, _, _ in udfs)
        raise PlanError(f"LiberTEM cannot run {names} on this scan: {type(error).__name__}: {error}") from error


def _guarded(udf: str, work: Any, frames: PartitionFrames) -> Any:
    """User code may raise anything; which UDF it was is told to the server."""
    try:
        return work(frames)
    except Exception as error:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = "" if where is None else f" ({where.tb_frame.f_code.co_filename}:{where.tb_lineno})"
        raise UDFFailure(udf, f"{type(error).__name__}: {error}{place}") from error


def _check_sizes(sections: Sequence[Section], payload: Sequence[Array]) -> None:
    """A server cuts off a worker that sends more, and would again after each new connection."""
    largest = max((each.nbytes for each in payload), default=0)
    ranges = sum(len(each.positions) for each in sections)
    if largest > _PART_BYTES or len(payload) > _PARTS or ranges * _RANGE_BYTES > _HEADER_BYTES:
        raise UDFFailure(
            "",
            f"the result of a partition is too large to be sent: {len(payload)} buffers, the largest of {largest} "
            f"bytes, "
            f"in {ranges} stretches; take smaller partitions or fewer UDFs",
        )
