"""Frames corrected by Stemwire against LiberTEM's `CorrectionSet` on the same file, number by number."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from check_udfs import NAV_OPTION, RUN_SECONDS, Comparison, expect_close
from data_sets import DataSets
from libertem_client import LiberTEMClient
from libertem_worker import CorrectionFiles, UDFJob
from merlin_formats import MerlinFormat
from report import Check, CheckFailed

SECTION = "Corrections = LiberTEM 0.16's"

# LiberTEM adds up in the type of the frames, mostly float32; dark frames take most of the counts away.
COMPARISONS = (
    Comparison("pick", "pick:frames=3,10-12,40", "pick", {"intensity": "intensity"}, 0),
    Comparison("sum", "sum", "sum", {"intensity": "intensity"}, 1e-6),
    Comparison("sumsig", "sumsig", "sumsig", {"intensity": "intensity"}, 1e-5),
    Comparison("logsum", "logsum", "logsum", {"intensity": "logsum"}, 1e-5),
    Comparison("stddev", "stddev", "stddev", {"mean": "mean", "var": "var", "std": "std"}, 1e-4),
    Comparison("disk", "disk:cy=100,cx=140,r=31.5", "disk", {"intensity": "intensity"}, 1e-5),
    Comparison("ring", "ring:cy=100,cx=140,ri=12,ro=40", "ring", {"intensity": "intensity"}, 1e-5),
    Comparison("masks", "masks:file={masks}", "masks", {"intensity": "intensity"}, 1e-5),
    Comparison("com", "com:cy=120,cx=131,r=60", "com disk", {"raw_com": "raw_com", "field": "field"}, 1e-4),
    Comparison("fem", "fem:center=120,131,rad_in=20,rad_out=60", "fem", {"intensity": "intensity"}, 1e-4),
    Comparison("crystallinity", "crystallinity:rad_in=4,rad_out=30", "crystallinity", {"intensity": "intensity"}, 1e-4),
)
PICK = COMPARISONS[0]


@dataclass(frozen=True)
class Images:
    """Which corrections there are, and of what type."""

    name: str
    dtype: str = "float32"
    dark: bool = True
    gain: bool = True
    excluded: bool = True


ALL = Images("dark, gain, excluded")
ONES = (
    Images("dark", gain=False, excluded=False),
    Images("gain", dark=False, excluded=False),
    Images("excluded", dark=False, gain=False),
    Images("float64 dark and gain", dtype="float64", excluded=False),
    Images("uint16 dark", dtype="uint16", gain=False),
)


class CorrectionChecks:
    def __init__(self, binary: Path, client: LiberTEMClient, data_sets: DataSets, folder: Path) -> None:
        self._binary = binary
        self._client = client
        self._data_sets = data_sets
        self._folder = folder

    def checks(self) -> Iterator[Check]:
        for images in ONES:
            yield self._check(PICK, images, MerlinFormat("U16", 12, "1x1"))
        for format in (MerlinFormat("U16", 12, "1x1"), MerlinFormat("R64", 6, "2x2"), MerlinFormat("U32", 24, "1x1")):
            for comparison in COMPARISONS:
                yield self._check(comparison, ALL, format)

    def _check(self, comparison: Comparison, images: Images, format: MerlinFormat) -> Check:
        name = f"{comparison.name}, {images.name}"
        return Check(SECTION, name, format.name, lambda: self._compare(comparison, images, format))

    def _compare(self, comparison: Comparison, images: Images, format: MerlinFormat) -> None:
        data_set = self._data_sets.get(format)
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            mask_path = folder / "masks.npy"
            masks = np.random.default_rng(5).normal(size=(5, *format.sig_shape))
            np.save(mask_path, masks.astype(np.float32))
            files = write_corrections(images, format.sig_shape, folder)
            wanted = self._client.run_udf(UDFJob(data_set.header_path, comparison.libertem, mask_path, files))
            self._run(comparison, files, str(data_set.header_path), folder)
            for channel, theirs in comparison.channels.items():
                found = np.load(folder / f"result.{channel}.npy", allow_pickle=False)
                expect_close(channel, found, wanted[theirs], comparison.tolerance)

    def _run(self, comparison: Comparison, files: CorrectionFiles, source: str, folder: Path) -> None:
        udf = "result=" + comparison.stemwire.format(masks=folder / "masks.npy")
        options = {"--dark": files.dark, "--gain": files.gain, "--excluded": files.excluded}
        given = [text for option, path in options.items() if path is not None for text in (option, str(path))]
        done = subprocess.run(
            [str(self._binary), "run", source, "--udf", udf, "--output", str(folder), *NAV_OPTION, *given],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
        if done.returncode != 0:
            raise CheckFailed(f"stemwire run --udf {udf} ended with exit code {done.returncode}: {done.stderr[-600:]}")


def write_corrections(images: Images, sig_shape: tuple[int, int], folder: Path) -> CorrectionFiles:
    """Dark frame, gain map and a mask of excluded pixels: corners, edges, pairs and blocks of two by two among them."""
    random = np.random.default_rng(11)
    dark = random.uniform(0, 3, sig_shape).astype(images.dtype)
    gain = random.uniform(0.5, 2, sig_shape).astype(images.dtype)
    excluded = random.uniform(size=sig_shape) < 0.002
    excluded[0, 0] = excluded[-1, 7] = excluded[50, 60:62] = True
    excluded[70:72, 80:82] = True
    paths = {}
    for name, wanted, array in (
        ("dark", images.dark, dark),
        ("gain", images.gain, gain),
        ("excluded", images.excluded, excluded),
    ):
        if wanted:
            paths[name] = folder / f"{name}.npy"
            np.save(paths[name], array)
    return CorrectionFiles(paths.get("dark"), paths.get("gain"), paths.get("excluded"))
