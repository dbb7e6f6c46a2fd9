"""The server's own UDFs that this worker has too, so that both share a run: exact ones, on counts.

Names, versions, buffers and content hashes are the server's; so are the bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from .plans import Array
from .udf import UDF, Buffer, nav, sig


class Sum(UDF):
    """`sum`: for each detector pixel, uint64."""

    version: ClassVar[int | None] = 1
    order: ClassVar[str] = "any"

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"intensity": sig(np.uint64)}

    def process_tile(self, tile: Array) -> None:
        self.results.intensity[...] += tile.sum(axis=0, dtype=np.uint64)


class SumSig(UDF):
    """`sumsig`: for each scan position, uint64."""

    version: ClassVar[int | None] = 1
    order: ClassVar[str] = "any"

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"intensity": nav(np.uint64)}

    def process_tile(self, tile: Array) -> None:
        self.results.intensity[...] = tile.sum(axis=(1, 2), dtype=np.uint64)


class Max(UDF):
    """`max`: for each detector pixel, in the type of the pixels."""

    version: ClassVar[int | None] = 1
    order: ClassVar[str] = "any"

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"intensity": sig(self.meta.dtype, merge="maximum")}

    def process_tile(self, tile: Array) -> None:
        np.maximum(self.results.intensity, tile.max(axis=0), out=self.results.intensity)


BUILT_IN: dict[str, type[UDF]] = {"sum": Sum, "sumsig": SumSig, "max": Max}
