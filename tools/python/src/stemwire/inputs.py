"""Arrays that a run is given: region of interest, corrections, values for each scan position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from ._wire import stemwire_pb2 as pb
from .errors import InvalidArgument
from .udfs import UDF

_MOST_ARRAYS = 16
_ARRAY_BYTES = 8 << 20
_ALL_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class Corrections:
    """What is done to each frame before any UDF sees it; images have the shape of a frame, (y, x).

    Each pixel becomes (pixel − dark) · gain; after that, each excluded pixel becomes the mean of its good neighbours.
    """

    dark: npt.ArrayLike | None = None
    gain: npt.ArrayLike | None = None
    excluded: npt.ArrayLike | None = None
    """True where a pixel is dead or hot."""
    keeps_isolated: bool = False
    """An excluded pixel without a good neighbour keeps its value, where it would be an error else."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Of one run, as they travel."""

    headers: Sequence[pb.ArrayHeader] = ()
    parts: Sequence[bytes] = ()
    keeps_isolated: bool = False

    @classmethod
    def of(cls, udfs: Sequence[UDF], roi: npt.ArrayLike | None, corrections: Corrections | None) -> Inputs:
        """roi: True for the scan positions to be worked on, nav shape."""
        headers: list[pb.ArrayHeader] = []
        parts: list[bytes] = []

        def add(purpose: str, array: npt.NDArray[Any], udf: str = "", name: str = "") -> None:
            data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            if len(data) > _ARRAY_BYTES:
                raise InvalidArgument(f"{name or purpose} has {len(data)} bytes; the limit is {_ARRAY_BYTES}")
            dtype = "" if purpose == "roi" else array.dtype.newbyteorder("=").name
            headers.append(
                pb.ArrayHeader(
                    purpose=purpose,
                    udf=udf,
                    name=name,
                    dtype=dtype,
                    shape=array.shape,
                    checksum=xxhash.xxh3_64_intdigest(data),
                )
            )
            parts.append(data)

        if roi is not None:
            add("roi", np.packbits(np.asarray(roi, np.bool_).reshape(-1), bitorder="little"))
        if corrections is not None:
            if corrections.dark is not None:
                add("dark", _real(corrections.dark))
            if corrections.gain is not None:
                add("gain", _real(corrections.gain))
            if corrections.excluded is not None:
                add("excluded", np.asarray(corrections.excluded, np.bool_).astype(np.uint8))
        for udf in udfs:
            for name, values in udf.auxiliary.items():
                add("auxiliary", np.asarray(values), udf.key, name)
        if len(parts) > _MOST_ARRAYS or sum(map(len, parts)) > _ALL_BYTES:
            raise InvalidArgument(
                f"{len(parts)} arrays of {sum(map(len, parts))} bytes; {_MOST_ARRAYS} of {_ALL_BYTES} are possible"
            )
        return cls(headers, parts, corrections is not None and corrections.keeps_isolated)


def _real(image: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(image)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
