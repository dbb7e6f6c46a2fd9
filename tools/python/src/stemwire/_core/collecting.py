"""Follows the results of a run: snapshot first, then updates; of each channel the newest state, never an older one."""

from __future__ import annotations

import uuid
from typing import Final

from ..results import Channel, Results
from ..status import End, Start, Status
from .emptiness import EmptyAcquisition
from .live import LiveMessage
from .messages import SnapshotState

SETTLE_SECONDS: Final = 0.25
"""How long after an end final updates are waited for before the snapshot is asked for."""
_GIVE_UP_SECONDS: Final = 5.0


class ResultFollower:
    """Holds the state of one run on one acquisition; knows no socket and no clock."""

    def __init__(self, run: str, first_generation: int) -> None:
        self.run = run
        self.first_generation = first_generation
        self.start: Start | None = None
        self.end: End | None = None
        self.acquisition: uuid.UUID | None = None
        self.generation = 0
        self.done = False
        self.error = ""
        """Why a UDF of the run failed; empty when none did."""
        self.empty = EmptyAcquisition()
        self._channels: dict[tuple[str, str], Channel] = {}
        self._starts: dict[int, Start] = {}
        self._ask_at: float | None = None
        self._give_up_at = float("inf")
        self._changed = False

    @property
    def results(self) -> Results:
        return Results(self.run, self._channels, self.start, self.end)

    @property
    def next_time(self) -> float | None:
        """When `wants_snapshot` or `empty.wants_status` may turn true."""
        times = [each for each in (self._ask_at, self.empty.next_time) if each is not None]
        return min(times, default=None)

    def changed(self) -> bool:
        """Something has changed since it was last asked."""
        changed, self._changed = self._changed, False
        return changed

    def wants_snapshot(self, now: float) -> bool:
        """The acquisition is over and finals are still absent. To be answered by `snapshot` or `no_snapshot`."""
        return not self.done and self._ask_at is not None and now >= self._ask_at

    def live(self, message: LiveMessage, now: float) -> None:
        body = message.body
        if isinstance(body, Channel):
            self._update(body, now)
        elif isinstance(body, Start):
            self._starts = {body.generation: body}
            self.empty.newer(body.generation)
            if body.generation == self.generation:
                self.start = body
        elif isinstance(body, End):
            self._ended(body, now)
        elif isinstance(body, Status):
            self.status(body, now)

    def status(self, status: Status, now: float) -> None:
        for run in status.runs:
            if run.run != self.run:
                continue
            self.error = run.error or self.error
            if (
                run.error
                and run.finished
                and self.acquisition is None
                and status.latest_generation >= self.first_generation
            ):
                self.done = True
            if not run.finished and self._ask_at is not None:
                # Workers may need long after the last frame has come.
                self._give_up_at = now + _GIVE_UP_SECONDS
        for each in status.ended:
            if each.generation >= self.first_generation:
                self._ended(each.as_end(), now)

    def status_answer(self, status: Status, now: float) -> None:
        """A status that was asked for because of `empty.wants_status`."""
        self.status(status, now)
        end = self.empty.answer(status, now)
        if end is not None and self.acquisition is None:
            self.follow(end.acquisition, end.generation)
            self._ended(end, now)

    def snapshot(self, state: SnapshotState, now: float) -> None:
        """The state that a snapshot holds; one of an acquisition that is not followed changes nothing."""
        asked = self._ask_at is not None
        begun = state.start or state.end
        if state.start is not None:
            self._starts[state.start.generation] = state.start
        for channel in state.channels:
            self._update(channel, now)
        if begun is not None and begun.generation == self.generation:
            self.start = self.start or state.start
            if state.end is not None:
                self._ended(state.end, now)
        self._settle(now)
        if asked and not self.done:
            self.no_snapshot(now)

    def no_snapshot(self, now: float) -> None:
        """The server has none (any more), or it does not tell enough yet."""
        if now >= self._give_up_at:
            self.done = True
        self._ask_at = now + SETTLE_SECONDS

    def forgotten(self, now: float) -> None:
        """The server does not keep the acquisition any more: what is here of it is all that there will be."""
        if self.acquisition is not None:
            self.done = True
            self._changed = True
        self.no_snapshot(now)

    def follow(self, acquisition: uuid.UUID, generation: int) -> None:
        """Fixes the acquisition that is followed; the first result of the run does it too."""
        if self.acquisition is None and generation >= self.first_generation:
            self.acquisition, self.generation = acquisition, generation
            self.start = self._starts.get(generation)
            self._changed = True

    # Inside

    def _update(self, channel: Channel, now: float) -> None:
        if channel.run != self.run or channel.generation < self.first_generation:
            return
        self.follow(channel.acquisition, channel.generation)
        if channel.generation > self.generation and self.end is None:
            # The next one has begun, so that this one is over and its end was lost.
            self._over(now)
            return
        if channel.acquisition != self.acquisition:
            return
        key = (channel.udf, channel.name)
        known = self._channels.get(key)
        # The last message of a channel may repeat the newest version, only to tell that it is final.
        if known is not None and (known.version, known.final) >= (channel.version, channel.final):
            return
        self._channels[key] = channel
        self._changed = True
        self._settle(now)

    def _ended(self, end: End, now: float) -> None:
        names_run = any(each.run == self.run for each in end.results)
        if self.acquisition is None and not end.accounting.placed and end.generation >= self.first_generation:
            self.empty.ended(end, now)
            return
        if self.acquisition is None and names_run:
            self.follow(end.acquisition, end.generation)
        if end.acquisition != self.acquisition:
            return
        if self.end is None or (end.results and not self.end.results):
            self.end = end
            self._changed = True
        self._over(now)
        self._settle(now)

    def _over(self, now: float) -> None:
        if self._ask_at is None:
            self._ask_at = now + SETTLE_SECONDS
            self._give_up_at = now + _GIVE_UP_SECONDS

    def _settle(self, now: float) -> None:
        """Done when the end is known and all channels that it names, or all that are known, are final."""
        if self.end is None or self.done:
            return
        if not self.end.accounting.placed and not self._channels:
            self.done = True
            return
        named = {(each.udf, each.channel) for each in self.end.results if each.run == self.run}
        final = {key for key, channel in self._channels.items() if channel.final}
        if named:
            self.done = named <= final
        elif self._channels and self._ask_at is not None and now >= self._ask_at:
            self.done = final == set(self._channels)
