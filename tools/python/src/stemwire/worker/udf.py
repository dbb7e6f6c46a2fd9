"""UDFs written against numpy.

>>> from stemwire.worker import UDF, nav, sig
>>>
>>> class Brightest(UDF):
...     def __init__(self, above: float = 0.0) -> None:
...         self.above = above
...
...     def get_result_buffers(self):
...         return {"intensity": nav("float32"), "peaks": sig("uint16", merge="maximum")}
...
...     def process_tile(self, tile):
...         self.results.intensity[:] = np.maximum(tile.max(axis=(1, 2)) - self.above, 0)
...         np.maximum(self.results.peaks, tile.max(axis=0), out=self.results.peaks)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .plans import Array, Meta

MERGES = ("sum", "minimum", "maximum", "overwrite", "custom")
USES = ("exported", "private", "result_only")
ORDERS = ("automatic", "any", "partition", "fixedTree", "sequence")


@dataclass(frozen=True)
class Buffer:
    """Of what there is one row of numbers: each scan position (nav), each detector pixel (sig), or the run (single)."""

    kind: str
    dtype: np.dtype[Any]
    extra_shape: tuple[int, ...] = ()
    """Axes behind those of the kind."""
    use: str = "exported"
    """exported: a result; private: for `merge` and `get_results` only; result_only: made by `get_results`."""
    merge: str = "positions"
    """How the buffers of two parts of the scan become one."""

    def shape(self, meta: Meta) -> tuple[int, ...]:
        """For a whole run."""
        own = {"nav": meta.nav_shape, "sig": meta.sig_shape, "single": ()}[self.kind]
        return (*own, *self.extra_shape)

    @property
    def is_merged(self) -> bool:
        return self.use != "result_only"

    def neutral(self, shape: Sequence[int]) -> Array:
        """A buffer in which nothing is yet."""
        if self.merge == "maximum":
            lowest = -np.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).min
            return np.full(tuple(shape), lowest, self.dtype)
        if self.merge == "minimum":
            highest = np.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).max
            return np.full(tuple(shape), highest, self.dtype)
        return np.zeros(tuple(shape), self.dtype)


def nav(dtype: npt.DTypeLike = "float32", extra_shape: Sequence[int] = (), use: str = "exported") -> Buffer:
    """One row for each scan position."""
    return Buffer("nav", np.dtype(dtype), tuple(extra_shape), _one_of("use", use, USES))


def sig(
    dtype: npt.DTypeLike = "float32", extra_shape: Sequence[int] = (), merge: str = "sum", use: str = "exported"
) -> Buffer:
    """One row for each detector pixel."""
    return Buffer(
        "sig", np.dtype(dtype), tuple(extra_shape), _one_of("use", use, USES), _one_of("merge", merge, MERGES)
    )


def single(
    dtype: npt.DTypeLike = "float32", extra_shape: Sequence[int] = (), merge: str = "sum", use: str = "exported"
) -> Buffer:
    """One array for the run."""
    used, merged = _one_of("use", use, USES), _one_of("merge", merge, MERGES)
    return Buffer("single", np.dtype(dtype), tuple(extra_shape), used, merged)


def _one_of(what: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f"{what} is one of {', '.join(known)}, not {value!r}")
    return value


class Arrays(Mapping[str, Array]):
    """Arrays by name, as attributes too. Assigning to an attribute copies into the array."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.__dict__["_arrays"] = arrays

    def __getitem__(self, name: str) -> Array:
        array: Array = self.__dict__["_arrays"][name]
        return array

    def __getattr__(self, name: str) -> Array:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no buffer {name!r}, only {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name][...] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__["_arrays"])

    def __len__(self) -> int:
        return len(self.__dict__["_arrays"])


class UDF:
    """A user-defined function: what is computed from the frames of a scan while they arrive.

    Write one of `process_tile`, `process_frame` and `process_partition`; when there are several, tiles go before
    frames, frames before partitions. Parameters are those of `__init__`. One instance works on one plan, in one
    thread; each partition begins with fresh buffers. The result has the same bits for any number of workers,
    whichever of them die.
    """

    version: ClassVar[int | None] = None
    """Differs when the same parameters give other results; without one, it is made from the module's source."""
    input_dtype: ClassVar[npt.DTypeLike | None] = None
    """Of the frames that it is given; None: as the detector counts, in native byte order."""
    tile_depth: ClassVar[int | None] = None
    """Frames in a tile; None: about 1 MiB of them. A tile is shorter where frames are missing and at a partition's
    end."""
    order: ClassVar[str] = "automatic"
    """automatic; or any, partition, fixedTree, sequence: see PROTOCOL.md, section 6."""

    meta: Meta
    results: Arrays
    """The buffers: for `process_frame` and `process_tile`, nav buffers hold the rows of these frames."""
    positions: range
    """Flat scan positions of the frames that are being processed."""
    auxiliary: Arrays
    """Values for each scan position, of the frames that are being processed."""
    processed: npt.NDArray[np.bool_]
    """In `get_results`: the scan positions that are in the merged buffers, nav shape."""

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        """The buffers by name, in the order of the results. `self.meta` is there; the same for every call."""
        raise NotImplementedError(f"{type(self).__name__} has no get_result_buffers()")

    def preprocess(self) -> None:
        """Called on fresh buffers of a partition: zeros, lowest for a maximum, highest for a minimum."""

    def postprocess(self) -> None:
        """Called on the buffers of a partition before they are merged; nav rows are the whole partition's."""

    def merge(self, dest: Arrays, src: Arrays) -> None:
        """Merges `custom` buffers: `src`, of the higher scan positions, into `dest`."""
        raise NotImplementedError(f"{type(self).__name__} has a custom buffer and no merge(dest, src)")

    def get_results(self) -> Mapping[str, Any]:
        """Makes the `result_only` buffers of the merged ones in `self.results`, which have their full shape.

        May be called often, on parts of a scan. A value may be `(array, valid)`, valid having the nav shape.
        """
        return {}
