"""What follows the states of results: a bar of progress (tqdm, extra `progress`; else a line of text), and plots."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

from ._io.scanning import ScanStream
from ._io.updates import UpdateStream
from .plot import LivePlot
from .results import Results
from .status import AcquisitionStatus

_LINE_EVERY_SECONDS = 0.2


class _Line:
    """As much of tqdm as is used here, where that is not installed: a line on standard error."""

    def __init__(self) -> None:
        self.n = 0
        self.total = 0
        self._beside = ""
        self._shown_at = 0.0
        self._is_closed = False

    def set_postfix(self, *, refresh: bool, **counts: int) -> None:
        self._beside = "".join(f", {name} {count}" for name, count in counts.items())

    def refresh(self) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown_at >= _LINE_EVERY_SECONDS:
            self._shown_at = now
            self._write("\r")

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._write("\n", "\r" if sys.stderr.isatty() else "")

    def _write(self, behind: str, before: str = "") -> None:
        share = self.n / self.total if self.total else 0.0
        sys.stderr.write(f"{before}{share:4.0%} of {self.total} frames{self._beside}{behind}")
        sys.stderr.flush()


class ProgressBar:
    """Scan positions that are in the results; frames that are missing beside it."""

    def __init__(self) -> None:
        self._bar: Any
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self._bar = _Line()
        else:
            self._bar = tqdm(unit="frame", unit_scale=True, dynamic_ncols=True)

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
