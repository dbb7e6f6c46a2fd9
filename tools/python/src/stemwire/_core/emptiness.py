"""Acquisitions that end without a frame: stopped or aborted before the trigger."""

from __future__ import annotations

from ..status import End, Status

ASK_SECONDS = 0.5
"""How long after such an end the server is asked what is going on."""


class EmptyAcquisition:
    """Decides whether an acquisition without a frame was the one that is waited for.

    It was, when the detector is idle afterwards. When it is armed again, it was a leftover, such as of
    `abort(); run(…)`, whose end is told a moment later.
    """

    def __init__(self) -> None:
        self._end: End | None = None
        self._ask_at: float | None = None

    @property
    def next_time(self) -> float | None:
        """When `wants_status` turns true."""
        return self._ask_at

    def ended(self, end: End, now: float) -> None:
        if self._end is None or end.generation > self._end.generation:
            self._end = end
            self._ask_at = now + ASK_SECONDS

    def newer(self, generation: int) -> End | None:
        """Another acquisition was heard of; gives the empty one that thereby turned out a leftover."""
        if self._end is None or generation <= self._end.generation:
            return None
        leftover, self._end, self._ask_at = self._end, None, None
        return leftover

    def wants_status(self, now: float) -> bool:
        """To be answered by `answer`, with a status that was asked for now."""
        return self._ask_at is not None and now >= self._ask_at

    def answer(self, status: Status, now: float) -> End | None:
        """The end that was waited for, when it is sure."""
        end = self._end
        if end is None:
            return None
        if status.state == "idle" and status.latest_generation == end.generation and status.acquisition is None:
            self._end = self._ask_at = None
            return end
        self._ask_at = now + ASK_SECONDS
        return None
