"""Progress bar of an acquisition, by tqdm (extra `progress`)."""

from __future__ import annotations

from typing import Any

from .results import Results
from .status import AcquisitionStatus


class ProgressBar:
    """Scan positions that are in the results; frames that are missing beside it."""

    def __init__(self) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(unit="frame", unit_scale=True, dynamic_ncols=True)

    def update(self, results: Results, progress: AcquisitionStatus | None) -> None:
        channels = list(results.values())
        if channels:
            self._bar.total = max(each.positions_expected for each in channels)
            self._bar.n = min(each.positions_processed for each in channels)
        counts = results.accounting or (progress.accounting if progress is not None else None)
        if counts is not None and (counts.missing or counts.rejected):
            self._bar.set_postfix(missing=counts.missing, rejected=counts.rejected, refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()
