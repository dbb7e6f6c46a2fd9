"""What follows the states of results: a bar of progress, by tqdm (extra `progress`), and plots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._io.scanning import ScanStream
from ._io.updates import UpdateStream
from .plot import LivePlot
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


class ShownStates:
    """States of results, each shown by a bar and plots before it is given."""

    def __init__(
        self,
        stream: UpdateStream | ScanStream,
        progress: bool = False,
        plots: Iterable[LivePlot] = (),
    ) -> None:
        self._stream = stream
        self._plots = tuple(plots)
        self._bar = ProgressBar() if progress else None

    async def next(self) -> Results | None:
        state = await self._stream.next()
        if state is not None:
            if self._bar is not None:
                self._bar.update(state, self._stream.progress)
            for plot in self._plots:
                plot.update(state)
        return state

    def leave(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._stream.leave()
