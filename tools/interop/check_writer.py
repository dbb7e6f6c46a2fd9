"""The data sets themselves: read back by LiberTEM's file reader, image by image."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from data_sets import DataSets
from libertem_client import LiberTEMClient
from merlin_formats import CHIP, GAP, LIVE_FORMATS, Images, MerlinFormat
from report import Check, expect_equal_arrays

SECTION = "data sets"


def checks(client: LiberTEMClient, data_sets: DataSets) -> Iterator[Check]:
    for format in LIVE_FORMATS:
        yield Check(SECTION, "LiberTEM's file reader", format.name, partial(_read_back, client, data_sets, format))


def _read_back(client: LiberTEMClient, data_sets: DataSets, format: MerlinFormat) -> None:
    for several_files in (False, True):
        data_set = data_sets.get(format, several_files=several_files)
        wanted = data_set.images
        if format.is_raw and format.has_gap:
            wanted = _without_gap(wanted)
        wanted = wanted.reshape(*data_set.nav_shape, *wanted.shape[1:])
        expect_equal_arrays("the data set", client.read_offline(data_set.header_path), wanted)


def _without_gap(images: Images) -> Images:
    """LiberTEM's file reader, unlike its live decoder, leaves the gap out of raw frames."""
    gap = slice(CHIP, CHIP + GAP)
    return np.delete(np.delete(images, gap, axis=1), gap, axis=2)
