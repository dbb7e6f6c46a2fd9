"""Stemwire's UDFs on a file against LiberTEM's own, and Ptychography40's, on the same file, number by number."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_sets import NAV_SHAPE, DataSets
from libertem_client import LiberTEMClient
from libertem_udfs import RADIAL_FOURIER, SHIFT, sparse_masks_path
from libertem_worker import UDFJob
from merlin_formats import MerlinFormat
from report import Check, CheckFailed

SECTION = "UDFs = LiberTEM 0.16's"
RUN_SECONDS = 60
NAV_OPTION = ("--nav-shape", str(NAV_SHAPE[0]), str(NAV_SHAPE[1]))
MASKS = 5


@dataclass(frozen=True)
class Comparison:
    """One UDF with parameters; channels that are equal within `tolerance` of the largest value."""

    name: str
    stemwire: str
    """As in --udf; {masks} is a file with MASKS masks, {sparse} one of which most pixels are 0, {coordinates} and
    {values} the same as a list of pixels; {folder} is where the results go."""
    libertem: str
    """The name in `libertem_udfs`."""
    channels: dict[str, str]
    """Of Stemwire, and what LiberTEM calls it."""
    tolerance: float = 1e-6


_COM_CHANNELS = (
    "raw_com",
    "raw_shifts",
    "field",
    "field_y",
    "field_x",
    "magnitude",
    "divergence",
    "curl",
    "regression",
)


def _com(name: str, parameters: str) -> Comparison:
    # LiberTEM computes in float32.
    return Comparison(f"com, {name}", "com" + parameters, f"com {name}", {c: c for c in _COM_CHANNELS}, 1e-4)


def _ssb(name: str, parameters: str) -> Comparison:
    setup = "ssb:wavelength=0.0025,step=0.05,0.04,semiconv=0.02,semiconv_pix=40,cy=120,cx=131"
    channels = {c: c for c in ("fourier", "amplitude", "phase")}
    return Comparison(f"ssb, {name}", setup + parameters, f"ssb {name}", channels, 1e-5)


_RADIAL_FOURIER = ",".join(f"{key}={value}" for key, value in RADIAL_FOURIER.items())

COMPARISONS = (
    Comparison("sum", "sum", "sum", {"intensity": "intensity"}, 0),
    # LiberTEM adds up in float32.
    Comparison("sumsig", "sumsig", "sumsig", {"intensity": "intensity"}),
    Comparison("logsum", "logsum", "logsum", {"intensity": "logsum"}, 1e-5),
    Comparison("stddev", "stddev", "stddev", {"mean": "mean", "var": "var", "std": "std"}, 1e-4),
    Comparison("pick", "pick:frames=3,10-12,40", "pick", {"intensity": "intensity"}, 0),
    Comparison("disk", "disk:cy=100,cx=140,r=31.5", "disk", {"intensity": "intensity"}),
    Comparison("ring", "ring:cy=100,cx=140,ri=12,ro=40", "ring", {"intensity": "intensity"}),
    Comparison("masks", "masks:file={masks}", "masks", {"intensity": "intensity"}, 1e-5),
    Comparison(
        "masks, shifted",
        f"masks:file={{masks}},shift_y={SHIFT[0]},shift_x={SHIFT[1]}",
        "masks shifted",
        {"intensity": "intensity"},
        1e-5,
    ),
    Comparison("masks, sparse", "masks:file={sparse},sparse=true", "masks sparse", {"intensity": "intensity"}, 1e-5),
    Comparison(
        "masks, listed",
        f"masks:coordinates={{coordinates}},values={{values}},count={MASKS}",
        "masks sparse",
        {"intensity": "intensity"},
        1e-5,
    ),
    _com("default", ""),
    _com("disk", ":cy=120,cx=131,r=60"),
    _com("annulus, turned", ":cy=120,cx=131,r=90,ri=20,scan_rotation=33,flip_y=true"),
    _com("offset taken away", ":cy=120,cx=131,r=60,regression=0"),
    _com("plane taken away", ":cy=120,cx=131,r=60,regression=1"),
    Comparison(
        "guess-corrections",
        "guess-corrections",
        "guess-corrections",
        {c: c for c in ("scan_rotation", "flip_y", "cy", "cx")},
    ),
    # LiberTEM adds up in complex64, which leaves the phase of a weak coefficient uncertain.
    Comparison(
        "radial-fourier",
        f"radial-fourier:{_RADIAL_FOURIER}",
        "radial-fourier",
        {c: c for c in ("dominant", "absolute", "phase", "complex")},
        1e-3,
    ),
    # The recorder writes where results of a channel called frames would be.
    Comparison("record", "record:filename={folder}/result.frames.npy", "record", {"frames": "frames"}, 0),
    _ssb("straight", ""),
    _ssb("turned", ",scan_rotation=33,flip_y=true"),
    Comparison("fem", "fem:center=120,131,rad_in=20,rad_out=60", "fem", {"intensity": "intensity"}, 1e-4),
    Comparison("crystallinity", "crystallinity:rad_in=4,rad_out=30", "crystallinity", {"intensity": "intensity"}, 1e-4),
)


class UDFChecks:
    def __init__(self, binary: Path, client: LiberTEMClient, data_sets: DataSets, folder: Path) -> None:
        self._binary = binary
        self._client = client
        self._data_sets = data_sets
        self._folder = folder

    def checks(self) -> Iterator[Check]:
        for format in (MerlinFormat("U16", 12, "1x1"), MerlinFormat("R64", 6, "2x2")):
            for comparison in COMPARISONS:
                yield self._check(comparison, format)

    def _check(self, comparison: Comparison, format: MerlinFormat) -> Check:
        return Check(SECTION, comparison.name, format.name, lambda: self._compare(comparison, format))

    def _compare(self, comparison: Comparison, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            mask_path = folder / "masks.npy"
            write_masks(mask_path, format.sig_shape)
            wanted = self._client.run_udf(UDFJob(data_set.header_path, comparison.libertem, mask_path))
            self._run(comparison, str(data_set.header_path), folder)
            for channel, theirs in comparison.channels.items():
                found = np.load(folder / f"result.{channel}.npy", allow_pickle=False)
                expect_close(channel, found, wanted[theirs], comparison.tolerance)

    def _run(self, comparison: Comparison, source: str, folder: Path) -> None:
        files = {name: folder / f"{name}.npy" for name in ("masks", "sparse", "coordinates", "values")}
        udf = "result=" + comparison.stemwire.format(folder=folder, **files)
        done = subprocess.run(
            [str(self._binary), "run", source, "--udf", udf, "--output", str(folder), *NAV_OPTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
        if done.returncode != 0:
            raise CheckFailed(f"stemwire run --udf {udf} ended with exit code {done.returncode}: {done.stderr[-600:]}")


def write_masks(mask_path: Path, sig_shape: tuple[int, int]) -> None:
    """MASKS masks as images; and most of their pixels set to 0, as images and as a list of pixels."""
    rng = np.random.default_rng(5)
    masks = rng.normal(size=(MASKS, *sig_shape)).astype(np.float32)
    np.save(mask_path, masks)
    masks[rng.random(masks.shape) < 0.97] = 0
    np.save(sparse_masks_path(mask_path), masks)
    coordinates = np.stack(np.nonzero(masks))
    np.save(mask_path.with_name("coordinates.npy"), coordinates)
    np.save(mask_path.with_name("values.npy"), masks[tuple(coordinates)])


def expect_close(what: str, found: NDArray[np.generic], wanted: NDArray[np.generic], tolerance: float) -> None:
    """Equal within `tolerance` × the largest value; NaN where LiberTEM has NaN."""
    if wanted.shape == (*found.shape, 1):
        # One mask of several, which are an axis of their own there.
        wanted = wanted[..., 0]
    if found.shape != wanted.shape:
        raise CheckFailed(f"{what} has shape {found.shape}, LiberTEM's has {wanted.shape}")
    difference = np.abs(found.astype(np.complex128) - wanted.astype(np.complex128))
    scale = float(np.nanmax(np.abs(wanted))) or 1.0
    if not np.array_equal(np.isnan(found), np.isnan(wanted)):
        raise CheckFailed(f"{what} is NaN elsewhere than LiberTEM's")
    worst = float(np.nanmax(difference)) / scale
    if worst > tolerance:
        raise CheckFailed(f"{what} differs from LiberTEM's by {worst:.2g} of its largest value, {scale:.6g}")
