"""The data sets of the checks, written when first asked for; one format is on disk at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

from merlin_files import MerlinDataSet, write_data_set
from merlin_formats import MerlinFormat

NAV_SHAPE = (6, 8)
SEED = 20240425
FRAMES_PER_FILE = 5
"""Ten files for a scan of 48: their alphabetical order is not their order, and the last is not full."""


class DataSets:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[tuple[MerlinFormat, bool], MerlinDataSet] = {}

    def get(self, format: MerlinFormat, *, several_files: bool = False) -> MerlinDataSet:
        """One .mib file and ScanX/ScanY in the header; or `several_files` and a header of older software."""
        key = (format, several_files)
        if key not in self._written:
            if any(other != format for other, _ in self._written):
                self._written.clear()
                shutil.rmtree(self._folder)
            folder = self._folder / ("several" if several_files else "one")
            folder.mkdir(parents=True)
            frames_per_file = FRAMES_PER_FILE if several_files else None
            self._written[key] = write_data_set(
                folder, format, NAV_SHAPE, SEED, frames_per_file=frames_per_file, scan_keys=not several_files
            )
        return self._written[key]
