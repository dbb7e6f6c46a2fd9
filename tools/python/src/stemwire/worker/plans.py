"""What the server asks for, as Python values: the acquisition, the UDFs with their parameters, and the arrays beside
them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from .._core import messages
from .._wire import stemwire_pb2 as pb
from ..errors import ProtocolError
from ..frames import FrameFormat

Array = npt.NDArray[Any]

_MOST_UDFS = 64
WIRE_DTYPES = frozenset(
    ("bool", "uint8", "uint16", "uint32", "uint64", "int32", "int64", "float32", "float64", "complex64", "complex128")
)


class PlanError(Exception):
    """A plan that cannot be done here."""

    def __init__(self, message: str, is_fault_of_udf: bool = True) -> None:
        super().__init__(message)
        self.is_fault_of_udf = is_fault_of_udf


@dataclass(frozen=True)
class Meta:
    """What a run's UDFs look at."""

    acquisition: uuid.UUID
    nav_shape: tuple[int, ...]
    """Of the scan, slow axis first."""
    sig_shape: tuple[int, int]
    """Of a frame, (y, x), pixels."""
    dtype: np.dtype[Any]
    """Of the pixels, as the UDFs see them: after corrections, if there are any."""
    frames_per_partition: int
    format: FrameFormat
    roi: npt.NDArray[np.bool_] | None = None
    """The scan positions to be worked on, flat; None: all."""

    @property
    def positions(self) -> int:
        return prod(self.nav_shape)

    def partition(self, index: int) -> range:
        """The scan positions of a partition."""
        first = index * self.frames_per_partition
        return range(first, min(first + self.frames_per_partition, self.positions))

    @property
    def partitions(self) -> int:
        return -(-self.positions // self.frames_per_partition)


@dataclass(frozen=True)
class Corrections:
    """What is done to each frame before any UDF sees it: (pixel − dark) · gain, then the repair of excluded pixels."""

    dark: Array | None = None
    gain: Array | None = None
    excluded: npt.NDArray[np.bool_] | None = None
    """(y, x), True where a pixel becomes the mean of its good neighbours."""
    keeps_isolated: bool = False

    @property
    def is_empty(self) -> bool:
        return self.dark is None and self.gain is None and self.excluded is None


@dataclass
class Request:
    """A UDF that is asked for."""

    id: str
    name: str
    parameters: dict[str, str]
    auxiliary: dict[str, Array] = field(default_factory=dict)
    """Values for each scan position, nav shape first."""


@dataclass(frozen=True)
class PlanRequest:
    run: str
    meta: Meta
    requests: tuple[Request, ...]
    corrections: Corrections
    source_dtype: np.dtype[Any]
    """Of the pixels as the detector sends them."""
    generation: int

    @classmethod
    def read(cls, message: pb.WorkPlan, parts: Sequence[memoryview]) -> PlanRequest:
        """Everything is checked. Raises `PlanError`."""
        try:
            start = messages.start(message.start)
        except ProtocolError as error:
            raise PlanError(f"the plan does not say what frames are like: {error}", False) from None
        count = prod(start.nav_shape)
        if not 1 <= len(message.udfs) <= _MOST_UDFS:
            raise PlanError(f"{len(message.udfs)} UDFs in a plan; 1 to {_MOST_UDFS} are possible", False)
        if not start.nav_shape or count < 1 or start.frames_per_partition < 1:
            what = f"a scan of {start.nav_shape} in partitions of {start.frames_per_partition}"
            raise PlanError(f"the plan is for {what}", False)
        requests = tuple(Request(each.id or each.name, each.name, dict(each.parameters)) for each in message.udfs)
        roi, images = _sort(message.arrays, parts, requests, count)
        corrections = Corrections(
            images.get("dark"),
            images.get("gain"),
            _excluded(images.get("excluded"), start.format.sig_shape),
            message.keeps_isolated_pixels,
        )
        for what in ("dark", "gain"):
            if what in images and images[what].shape != start.format.sig_shape:
                raise PlanError(f"the {what} image has the shape {images[what].shape}, not that of the frames", False)
        source = start.format.dtype
        dtype = source if corrections.is_empty else np.result_type(source, np.float32)
        meta = Meta(
            start.acquisition,
            start.nav_shape,
            start.format.sig_shape,
            dtype,
            start.frames_per_partition,
            start.format,
            roi,
        )
        return cls(message.run, meta, requests, corrections, source, message.parameter_generation)


def _sort(
    headers: Sequence[pb.ArrayHeader], parts: Sequence[memoryview], requests: Sequence[Request], count: int
) -> tuple[npt.NDArray[np.bool_] | None, dict[str, Array]]:
    if len(headers) != len(parts):
        raise PlanError(f"{len(parts)} payload parts for {len(headers)} arrays", False)
    roi: npt.NDArray[np.bool_] | None = None
    images: dict[str, Array] = {}
    for header, part in zip(headers, parts, strict=True):
        if header.purpose == "roi":
            roi = read_positions(header, part, count)
        elif header.purpose in ("dark", "gain", "excluded"):
            images[header.purpose] = read_array(header, part)
        elif header.purpose == "auxiliary":
            request = next((each for each in requests if each.id == header.udf), None)
            if request is None:
                raise PlanError(f'auxiliary data for "{header.udf}", which the plan does not have', False)
            request.auxiliary[header.name] = read_array(header, part)
        else:
            # Leaving it out would give other results.
            raise PlanError(f'the worker does not know what to do with "{header.purpose}" arrays; update it', False)
    return roi, images


def _excluded(array: Array | None, sig_shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
    if array is None:
        return None
    if array.shape == sig_shape and array.dtype.itemsize == 1:
        return array.astype(np.bool_)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype != np.int64:
        raise PlanError(f"excluded pixels as {array.dtype} {array.shape}; a mask or (pixels, 2) was expected", False)
    if array.size and ((array < 0).any() or (array >= np.array(sig_shape)).any()):
        raise PlanError("an excluded pixel lies outside the frame", False)
    mask = np.zeros(sig_shape, np.bool_)
    mask[tuple(array.T)] = True
    return mask


def read_array(header: pb.ArrayHeader, part: memoryview) -> Array:
    """An array that came as a payload part: a view, read-only."""
    name = header.name or header.purpose
    if header.dtype not in WIRE_DTYPES or len(header.shape) > 8:
        raise PlanError(f"{name} came as {header.dtype!r} with {len(header.shape)} axes", False)
    dtype = np.dtype(header.dtype).newbyteorder("<")
    if prod(header.shape) * dtype.itemsize != len(part):
        raise PlanError(f"{name} came with {len(part)} bytes for {header.dtype} {tuple(header.shape)}", False)
    messages.verify(part, header.checksum, name)
    array: Array = np.frombuffer(part, dtype).reshape(tuple(header.shape)).astype(dtype.newbyteorder("="), copy=False)
    array.flags.writeable = False
    return array


def read_positions(header: pb.ArrayHeader, part: memoryview, count: int) -> npt.NDArray[np.bool_]:
    """A set of scan positions, flat."""
    if len(part) != (count + 7) // 8:
        raise PlanError(f"a set of positions of {len(part)} bytes for a scan of {count}", False)
    messages.verify(part, header.checksum, header.purpose)
    return np.unpackbits(np.frombuffer(part, np.uint8), count=count, bitorder="little").view(np.bool_)
