"""LiberTEM's UDFs and analyses, and Ptychography40's, by the names that the checks know them by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PICKED = (3, 10, 11, 12, 40)
SHIFT = (7, -12)
RADIAL_FOURIER = {"cy": 120, "cx": 131, "ri": 10, "ro": 90, "n_bins": 3, "max_order": 6}


def sparse_masks_path(mask_path: Path) -> Path:
    """The file of masks of which most pixels are 0."""
    return mask_path.with_name("sparse.npy")


def recording_path(mask_path: Path) -> Path:
    """The file that LiberTEM's recorder writes."""
    return mask_path.with_name("libertem.npy")


def make_udf(name: str, dataset: Any, mask_path: Path) -> Any:
    import sparse
    from libertem import masks
    from libertem.udf.com import CoMUDF
    from libertem.udf.crystallinity import CrystallinityUDF
    from libertem.udf.FEM import FEMUDF
    from libertem.udf.logsum import LogsumUDF
    from libertem.udf.masks import ApplyMasksUDF
    from libertem.udf.raw import PickUDF
    from libertem.udf.record import RecordUDF
    from libertem.udf.stddev import StdDevUDF
    from libertem.udf.sum import SumUDF
    from libertem.udf.sumsigudf import SumSigUDF

    def apply(factory: Any, **options: Any) -> Any:
        options = {"mask_dtype": np.float64, "use_sparse": False, **options}
        return ApplyMasksUDF(mask_factories=factory, **options)

    height, width = dataset.shape.sig
    where = {"centerX": 140, "centerY": 100, "imageSizeX": width, "imageSizeY": height}
    if name.startswith("com "):
        return _com(name.removeprefix("com "))
    if name.startswith("ssb "):
        return _ssb(name.removeprefix("ssb "))
    return {
        "sum": lambda: SumUDF(dtype="float64"),
        "sumsig": SumSigUDF,
        "logsum": LogsumUDF,
        "stddev": lambda: StdDevUDF(dtype="float64"),
        "pick": PickUDF,
        "disk": lambda: apply([lambda: masks.circular(**where, radius=31.5)]),
        "ring": lambda: apply([lambda: masks.ring(**where, radius=40, radius_inner=12)]),
        "masks": lambda: apply(lambda: np.load(mask_path).astype(np.float64)),
        "masks shifted": lambda: apply(lambda: np.load(mask_path).astype(np.float64), shifts=SHIFT),
        "masks sparse": lambda: apply(
            lambda: sparse.COO.from_numpy(np.load(sparse_masks_path(mask_path)).astype(np.float64)),
            use_sparse="sparse.pydata",
        ),
        "radial-fourier": lambda: _radial_fourier(dataset).get_udf(),
        "guess-corrections": CoMUDF,
        "record": lambda: RecordUDF(str(recording_path(mask_path))),
        "fem": lambda: FEMUDF(center=(120, 131), rad_in=20, rad_out=60),
        "crystallinity": lambda: CrystallinityUDF(rad_in=4, rad_out=30, real_center=(0, 0), real_rad=0),
    }[name]()


def results_of(
    name: str, udf_results: Any, dataset: Any, mask_path: Path, roi: NDArray[np.bool_] | None
) -> dict[str, NDArray[Any]]:
    """What LiberTEM's users get from it, by its names."""
    if name == "radial-fourier":
        return _radial_fourier_results(udf_results, dataset)
    if name == "guess-corrections":
        from libertem.udf.com import guess_corrections

        centres = udf_results["raw_com"].data
        guess = guess_corrections(centres[..., 0], centres[..., 1])
        return {key: np.array(value) for key, value in guess._asdict().items()}
    if name == "record":
        return {"frames": np.load(recording_path(mask_path), allow_pickle=False)}
    return {key: np.array(result.raw_data if roi is not None else result.data) for key, result in udf_results.items()}


def _radial_fourier(dataset: Any) -> Any:
    from libertem.analysis.radialfourier import RadialFourierAnalysis

    return RadialFourierAnalysis(dataset, RADIAL_FOURIER)


def _radial_fourier_results(udf_results: Any, dataset: Any) -> dict[str, NDArray[Any]]:
    damage = np.ones(tuple(dataset.shape.nav), dtype=bool)
    results = _radial_fourier(dataset).get_udf_results(udf_results, None, damage)
    bins, orders = range(RADIAL_FOURIER["n_bins"]), range(RADIAL_FOURIER["max_order"] + 1)

    def series(kind: str) -> NDArray[Any]:
        return np.stack([[results[f"{kind}_{b}_{o}"].raw_data for o in orders] for b in bins])

    wanted = {kind: np.moveaxis(series(kind), (0, 1), (-2, -1)) for kind in ("absolute", "phase", "complex")}
    return {**wanted, "dominant": np.stack([results[f"dominant_{b}"].raw_data for b in bins], axis=-1)}


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


def _ssb(name: str) -> Any:
    from libertem.corrections.coordinates import flip_y, identity, rotate_deg
    from ptychography40.reconstruction.ssb import SSB_UDF

    transformations = {"straight": identity(), "turned": rotate_deg(33.0) @ flip_y()}
    return SSB_UDF(
        lamb=2.5e-12,
        dpix=(0.05e-9, 0.04e-9),
        semiconv=0.02,
        semiconv_pix=40.0,
        cy=120,
        cx=131,
        transformation=transformations[name],
        dtype=np.float64,
    )
