"""LiberTEM's UDFs by the names that the checks know them by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PICKED = (3, 10, 11, 12, 40)


def make_udf(name: str, sig_shape: tuple[int, int], mask_path: Path) -> Any:
    from libertem import masks
    from libertem.udf.crystallinity import CrystallinityUDF
    from libertem.udf.FEM import FEMUDF
    from libertem.udf.logsum import LogsumUDF
    from libertem.udf.masks import ApplyMasksUDF
    from libertem.udf.raw import PickUDF
    from libertem.udf.stddev import StdDevUDF
    from libertem.udf.sum import SumUDF
    from libertem.udf.sumsigudf import SumSigUDF

    def apply(factory: Any) -> Any:
        return ApplyMasksUDF(mask_factories=factory, mask_dtype=np.float64, use_sparse=False)

    height, width = sig_shape
    where = {"centerX": 140, "centerY": 100, "imageSizeX": width, "imageSizeY": height}
    if name.startswith("com "):
        return _com(name.removeprefix("com "))
    return {
        "sum": lambda: SumUDF(dtype="float64"),
        "sumsig": SumSigUDF,
        "logsum": LogsumUDF,
        "stddev": lambda: StdDevUDF(dtype="float64"),
        "pick": PickUDF,
        "disk": lambda: apply([lambda: masks.circular(**where, radius=31.5)]),
        "ring": lambda: apply([lambda: masks.ring(**where, radius=40, radius_inner=12)]),
        "masks": lambda: apply(lambda: np.load(mask_path).astype(np.float64)),
        "fem": lambda: FEMUDF(center=(120, 131), rad_in=20, rad_out=60),
        "crystallinity": lambda: CrystallinityUDF(rad_in=4, rad_out=30, real_center=(0, 0), real_rad=0),
    }[name]()


def region_of_interest(name: str, nav_shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    if name != "pick":
        return None
    chosen = np.zeros(nav_shape, dtype=bool)
    chosen.flat[list(PICKED)] = True
    return chosen


def _com(name: str) -> Any:
    from libertem.udf.com import CoMUDF

    parameters: dict[str, dict[str, Any]] = {
        "default": {},
        "disk": {"cy": 120, "cx": 131, "r": 60},
        "annulus, turned": {"cy": 120, "cx": 131, "r": 90, "ri": 20, "scan_rotation": 33.0, "flip_y": True},
        "offset taken away": {"cy": 120, "cx": 131, "r": 60, "regression": 0},
        "plane taken away": {"cy": 120, "cx": 131, "r": 60, "regression": 1},
    }
    return CoMUDF.with_params(**parameters[name])
