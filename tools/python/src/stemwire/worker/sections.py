"""What UDFs declare and make, and how it travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from .._wire import stemwire_pb2 as pb
from .plans import Array

_USES = {"exported": "exported", "private": "private", "result_only": "resultOnly"}


def content_hash(name: str, version: int, parameters: str) -> int:
    """FNV-1a, 64 bits, of name, version and parameters."""
    value = 0xCBF29CE484222325
    for byte in f"{name}\n{version}\n{parameters}".encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


@dataclass(frozen=True)
class Declaration:
    name: str
    kind: str
    dtype: np.dtype[Any]
    extra_shape: tuple[int, ...]
    use: str
    merge: str

    @property
    def is_merged(self) -> bool:
        return self.use != "result_only"

    @property
    def wire(self) -> pb.BufferDeclaration:
        return pb.BufferDeclaration(
            name=self.name,
            kind=self.kind,
            dtype=self.dtype.name,
            extra_shape=self.extra_shape,
            use=_USES[self.use],
            merge="positions" if self.kind == "nav" else self.merge if self.is_merged else "sum",
        )


@dataclass(frozen=True)
class Planned:
    """What a UDF of a plan is."""

    id: str
    name: str
    version: int
    content_hash: int
    order: str
    declarations: tuple[Declaration, ...]

    @property
    def merged(self) -> tuple[Declaration, ...]:
        """Those that partitions have, in order."""
        return tuple(each for each in self.declarations if each.is_merged)

    @property
    def wire(self) -> pb.PlannedUdf:
        return pb.PlannedUdf(
            id=self.id,
            name=self.name,
            version=self.version,
            content_hash=self.content_hash,
            order=self.order,
            buffers=[each.wire for each in self.declarations],
        )


@dataclass(frozen=True)
class Section:
    """What one UDF made of a partition."""

    planned: Planned
    positions: tuple[range, ...]
    buffers: tuple[Array, ...]

    @property
    def wire(self) -> pb.ResultSection:
        pairs = zip(self.planned.merged, self.buffers, strict=True)
        return pb.ResultSection(
            udf=self.planned.id,
            content_hash=self.planned.content_hash,
            positions=[pb.PositionRange(first=each.start, count=len(each)) for each in self.positions],
            buffers=[header(array, self.planned.id, declared.name) for declared, array in pairs],
        )


@dataclass(frozen=True)
class Computed:
    """A buffer that was computed of merged ones."""

    name: str
    array: Array
    valid: npt.NDArray[np.bool_] | None = None
    """The positions of it that are worth showing, if these are not those that were processed."""


def header(array: Array, udf: str, name: str, purpose: str = "buffer") -> pb.ArrayHeader:
    return pb.ArrayHeader(
        purpose=purpose,
        udf=udf,
        name=name,
        dtype="" if purpose == "roi" else array.dtype.name,
        shape=array.shape,
        checksum=xxhash.xxh3_64_intdigest(array.reshape(-1).view(np.uint8).data),
    )


def bitmap(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    return np.packbits(np.asarray(mask, np.bool_).reshape(-1), bitorder="little")
