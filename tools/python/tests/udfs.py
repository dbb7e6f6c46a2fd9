"""UDFs and factories that the workers of the tests import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from stemwire.worker import UDF, Arrays, Buffer, Meta, nav, sig, single


class Brightest(UDF):
    """The largest pixel of each frame, and where on the scan each pixel was brightest."""

    def __init__(self, above: float = 0.0) -> None:
        self.above = above

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {
            "intensity": nav("float32"),
            "corner": nav("uint32", extra_shape=(2,)),
            "peaks": sig("uint16", merge="maximum"),
            "least": sig("uint16", merge="minimum"),
            "newest": sig("uint16", merge="overwrite"),
            "frames": single("uint64", extra_shape=(1,)),
        }

    def process_tile(self, tile: np.ndarray[Any, Any]) -> None:
        self.results.intensity[:] = np.maximum(tile.max(axis=(1, 2)) - self.above, 0)
        self.results.corner[:] = tile[:, 0, :2]
        np.maximum(self.results.peaks, tile.max(axis=0), out=self.results.peaks)
        np.minimum(self.results.least, tile.min(axis=0), out=self.results.least)
        self.results.newest = tile[-1]
        self.results.frames += np.uint64(len(tile))


class Spread(UDF):
    """Mean and standard deviation of each pixel, and of each frame, with a merge of its own."""

    input_dtype = np.float64

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {
            "count": single("float64", extra_shape=(1,), merge="custom", use="private"),
            "mean": sig("float64", merge="custom", use="private"),
            "squares": sig("float64", merge="custom", use="private"),
            "spread": sig("float64", use="result_only"),
            "flat": nav("float64", use="private"),
            "relative": nav("float64", use="result_only"),
        }

    def process_frame(self, frame: np.ndarray[Any, Any]) -> None:
        self.results.count += 1
        difference = frame - self.results.mean
        self.results.mean += difference / self.results.count[0]
        self.results.squares += difference * (frame - self.results.mean)
        self.results.flat[:] = frame.std()

    def merge(self, dest: Arrays, src: Arrays) -> None:
        total = dest.count[0] + src.count[0]
        difference = src.mean - dest.mean
        dest.squares += src.squares + difference**2 * dest.count[0] * src.count[0] / total
        dest.mean += difference * src.count[0] / total
        dest.count = total

    def get_results(self) -> Mapping[str, Any]:
        flat = self.results.flat
        count = max(1.0, self.results.count[0])
        largest = flat[self.processed].max() if self.processed.any() else 1.0
        return {"spread": np.sqrt(self.results.squares / count), "relative": (flat / largest, self.processed)}


class Whole(UDF):
    """All frames of a partition at once."""

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"rank": nav("int64")}

    def process_partition(self, frames: np.ndarray[Any, Any]) -> None:
        self.results.rank[: len(frames)] = np.argsort(np.argsort(frames.sum(axis=(1, 2)), kind="stable"))


class Slow(UDF):
    """Takes its time, so that there is a middle of the scan."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"total": nav("float64"), "sum": sig("float32")}

    def process_frame(self, frame: np.ndarray[Any, Any]) -> None:
        time.sleep(self.seconds)
        self.results.total[:] = frame.sum(dtype=np.float64)
        self.results.sum += frame / np.float32(3)


class Dying(UDF):
    """The first process that comes to position `at` is killed in the middle of its partition, as the system does."""

    def __init__(self, flag: str = "", at: int = 0) -> None:
        self.flag = flag
        self.at = at

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"survived": nav("uint8")}

    def process_tile(self, tile: np.ndarray[Any, Any]) -> None:
        if self.flag and self.positions.start >= self.at:
            with suppress(FileExistsError):
                Path(self.flag).open("x").close()
                os.kill(os.getpid(), signal.SIGKILL)
        self.results.survived[:] = 1


class Busy(UDF):
    """Computes in Python for long."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds

    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"value": nav("float64")}

    def process_tile(self, tile: np.ndarray[Any, Any]) -> None:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            sum(range(1000))
        self.results.value[:] = 1


class Failing(UDF):
    def get_result_buffers(self) -> Mapping[str, Buffer]:
        return {"value": nav("float64")}

    def process_tile(self, tile: np.ndarray[Any, Any]) -> None:
        if self.positions.start >= 32:
            raise ValueError("frames like these are not to be had")
        self.results.value[:] = 1


# LiberTEM's UDFs whose parameters are no numbers.


def virtual_detectors(meta: Meta, r: float = 4.0) -> Any:
    from libertem.udf.masks import ApplyMasksUDF

    height, width = meta.sig_shape
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(y - height // 2, x - width // 2)
    return ApplyMasksUDF(
        mask_factories=[
            lambda: distance <= r,
            lambda: (distance > r) & (distance <= 2 * r),
            lambda: x * np.ones((height, 1)),
            lambda: (y == height // 2) & (x == width // 3),
        ],
        mask_count=4,
        use_sparse=False,
    )


def radial_fourier(meta: Meta) -> Any:
    """As LiberTEM's RadialFourierAnalysis does it."""
    from libertem.analysis.radialfourier import radial_mask_factory
    from libertem.udf.masks import ApplyMasksUDF

    height, width = meta.sig_shape
    bins, orders = 3, 4
    factory = radial_mask_factory(
        height, width, width / 2, height / 2, 2, width / 3, n_bins=bins, max_order=orders, use_sparse=False
    )
    return ApplyMasksUDF(factory, use_sparse=False, mask_count=bins * (orders + 1), mask_dtype=np.complex64)


def auto() -> Any:
    from libertem.udf.auto import AutoUDF

    return AutoUDF(f=lambda frame: frame.sum() / 2)


def largest() -> Any:
    """The example of a maximum in LiberTEM's documentation."""
    from libertem.udf import UDF as LiberTEMBase

    class MaxUDF(LiberTEMBase):  # type: ignore[misc]
        def get_result_buffers(self) -> Any:
            return {"maxbuf": self.buffer(kind="sig", dtype="float32")}

        def preprocess(self) -> None:
            self.results.maxbuf[:] = -np.inf

        def process_frame(self, frame: np.ndarray[Any, Any]) -> None:
            self.results.maxbuf[:] = np.maximum(frame, self.results.maxbuf)

        def merge(self, dest: Any, src: Any) -> None:
            dest.maxbuf[:] = np.maximum(dest.maxbuf, src.maxbuf)

    return MaxUDF()


def by_partition() -> Any:
    """A LiberTEM UDF that wants whole partitions, with results of its own under the name of a buffer, and a mask."""
    from libertem.udf import UDF as LiberTEMBase

    class Ranks(LiberTEMBase):  # type: ignore[misc]
        def get_result_buffers(self) -> Any:
            return {
                "value": self.buffer(kind="nav", dtype="float32"),
                "visits": self.buffer(kind="single", dtype="int16"),
                "even": self.buffer(kind="nav", dtype="float64", extra_shape=(2,), use="result_only"),
            }

        def process_partition(self, partition: np.ndarray[Any, Any]) -> None:
            self.results.value[:] = partition.sum(axis=(1, 2))
            self.results.visits[:] += 1

        def merge(self, dest: Any, src: Any) -> None:
            dest.value[:] = src.value
            # What LiberTEM users may rely on: the right side is one partition.
            dest.visits[:] = dest.visits * 2 + src.visits

        def get_results(self) -> Any:
            value = self.results.value / 2
            even = np.stack([value, -value], axis=-1)
            return {"value": value, "visits": self.results.visits, "even": self.with_mask(even, even % 2 == 0)}

    return Ranks()
