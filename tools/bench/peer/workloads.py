"""What is computed: the same for Stemwire, as words of its command line, and for LiberTEM, as UDF objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAV_SHAPE = (64, 128)
FRAME_SHAPE = (256, 256)
MASK_FILE = "masks.npy"
DENSE_MASKS = 16
CENTRE = (128, 128)


@dataclass(frozen=True)
class Workload:
    name: str
    stemwire: tuple[str, ...]
    """Values of --udf; {folder} has masks.npy."""
    libertem: Callable[[], list[Any]]
    peer_goal: float
    """Ratio to LiberTEM-live that must be reached."""
    plain_goal: float | None = None
    """Ratio to the plain reader."""
    file_goal: float = 3.0


def dense_masks() -> NDArray[np.float32]:
    return np.random.default_rng(1).random((DENSE_MASKS, *FRAME_SHAPE), dtype=np.float32)


def _sum() -> Any:
    from libertem.udf.sum import SumUDF

    return SumUDF()


def _sumsig() -> Any:
    from libertem.udf.sumsigudf import SumSigUDF

    return SumSigUDF()


def _stddev() -> Any:
    from libertem.udf.stddev import StdDevUDF

    return StdDevUDF()


def _com() -> Any:
    from libertem.udf.com import CoMUDF

    return CoMUDF.with_params(cy=CENTRE[0], cx=CENTRE[1], r=60)


def _disk(radius: float) -> NDArray[np.float32]:
    y, x = np.mgrid[: FRAME_SHAPE[0], : FRAME_SHAPE[1]]
    return (np.hypot(y - CENTRE[0], x - CENTRE[1]) <= radius).astype(np.float32)


def _masks(masks: Callable[[], NDArray[np.float32]]) -> Any:
    from libertem.udf.masks import ApplyMasksUDF

    count = len(masks())
    return ApplyMasksUDF(mask_factories=masks, mask_count=count, mask_dtype=np.float32, use_sparse=False)


def _one_mask() -> NDArray[np.float32]:
    return _disk(30)[np.newaxis]


def _four_masks() -> NDArray[np.float32]:
    return np.stack([_disk(radius) for radius in (20, 30, 40, 50)])


_DISKS = tuple(f"d{radius}=disk:cy=128,cx=128,r={radius}" for radius in (20, 30, 40, 50))
_COM = "com:cy=128,cx=128,r=60"
_DENSE = "masks:file={folder}/" + MASK_FILE

WORKLOADS = (
    Workload("sum", ("sum",), lambda: [_sum()], 2, 0.75),
    Workload("sumsig", ("sumsig",), lambda: [_sumsig()], 2, 0.75),
    Workload("1 mask", ("disk:cy=128,cx=128,r=30",), lambda: [_masks(_one_mask)], 2, 0.75),
    Workload("com", (_COM,), lambda: [_com()], 2, 0.75),
    Workload("4 masks", _DISKS, lambda: [_masks(_four_masks)], 2.5),
    Workload("stddev", ("stddev",), lambda: [_stddev()], 2.5),
    Workload("16 masks", (_DENSE,), lambda: [_masks(dense_masks)], 3),
    Workload(
        "all together",
        ("sum", "sumsig", *_DISKS, _COM, "stddev", _DENSE),
        lambda: [_sum(), _sumsig(), _masks(_four_masks), _com(), _stddev(), _masks(dense_masks)],
        3,
    ),
)
