"""Follows the tiles of acquisitions: every position once, in spite of lost messages, as long as the server has the
frames.

Losses show in three ways: the numbers of the tile topic jump, positions are absent when the acquisition ends, or a
status tells of an acquisition whose start or end never came. What is absent is asked for by FETCH.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from math import prod

from ..frames import Tile
from ..status import AcquisitionStatus, End, Start, Status
from .emptiness import EmptyAcquisition
from .fetching import FetchDone
from .live import LiveMessage
from .positions import PositionSet

SETTLE_SECONDS = 0.25
"""After an end: how long tiles on their way are waited for, and until what was `pending` is asked for again."""


@dataclass
class Following:
    """One acquisition that is followed."""

    acquisition: uuid.UUID
    generation: int
    nav_shape: tuple[int, ...]
    start: Start | None = None
    end: End | None = None
    received: PositionSet = field(default_factory=PositionSet)
    missing: PositionSet = field(default_factory=PositionSet)
    """The detector's frame never came."""
    released: PositionSet = field(default_factory=PositionSet)
    """Lost on the way, and the server does not have them any more."""
    asked: list[range] = field(default_factory=list)
    settled_at: float = 0.0
    done: bool = False

    @property
    def size(self) -> int:
        if self.end is not None and self.end.accounting.expected:
            return self.end.accounting.expected
        return self.start.frames_expected if self.start is not None else prod(self.nav_shape)

    def absent(self) -> list[range]:
        """Positions of which nothing is known and that nobody asked for."""
        known = PositionSet([*self.received, *self.missing, *self.released, *self.asked])
        return known.absent(0, self.size)


class TileFollower:
    """Decides what to hand on, what to fetch and when it is done; knows no socket and no clock."""

    def __init__(self, first_generation: int, acquisitions: int | None, repair: bool) -> None:
        self.first_generation = first_generation
        self.acquisitions = acquisitions
        self.repair = repair
        self.followed: dict[int, Following] = {}
        self.fetches: deque[tuple[uuid.UUID, range]] = deque()
        """To be asked for, oldest first."""
        self.lost_messages = 0
        self.empty = EmptyAcquisition()
        self._finished = 0
        self._leftovers = 0

    @property
    def done(self) -> bool:
        return self.acquisitions is not None and self._finished >= self.acquisitions

    @property
    def next_time(self) -> float | None:
        """When `tick` has something to do."""
        times = [each.settled_at for each in self.followed.values() if each.end is not None and not each.done]
        if self.empty.next_time is not None:
            times.append(self.empty.next_time)
        return min(times, default=None)

    def follows(self, generation: int) -> bool:
        if generation < self.first_generation:
            return False
        return self.acquisitions is None or generation < self.first_generation + self.acquisitions + self._leftovers

    def live(self, message: LiveMessage, now: float) -> list[Tile]:
        body = message.body
        if isinstance(body, Tile):
            return self._tile(body, message.lost, now)
        if message.topic[0] == "tile":
            self.lost_messages += message.lost
        if isinstance(body, Start):
            following = self._following(body.generation, body.acquisition, body.nav_shape)
            if following is not None:
                following.start = body
        elif isinstance(body, End):
            self._ended(body, now)
        elif isinstance(body, Status):
            self.status(body, now)
        return []

    def status(self, status: Status, now: float) -> None:
        for each in status.ended:
            if each.accounting.placed:
                self._acquisition_status(each)
            self._ended(each.as_end(), now)
        if status.acquisition is not None:
            self._acquisition_status(status.acquisition)

    def status_answer(self, status: Status, now: float) -> None:
        """A status that was asked for because of `empty.wants_status`."""
        self.status(status, now)
        end = self.empty.answer(status, now)
        if end is not None:
            self._closed(end, now)

    def fetched(self, tile: Tile) -> list[Tile]:
        following = self.followed.get(tile.generation)
        return self._fresh(following, tile) if following is not None and not following.done else []

    def fetch_done(self, done: FetchDone, now: float) -> None:
        for following in self.followed.values():
            if following.acquisition == done.acquisition and done.positions in following.asked:
                following.asked.remove(done.positions)
                for each in done.unavailable:
                    if each.reason == "missing":
                        following.missing.add(each.positions.start, each.positions.stop)
                    elif each.reason == "released":
                        following.released.add(each.positions.start, each.positions.stop)
                pending = any(each.reason == "pending" for each in done.unavailable)
                following.settled_at = now + SETTLE_SECONDS if pending else now

    def tick(self, now: float) -> None:
        """Asks for what is absent after an end, and notices acquisitions of which all is known."""
        for following in self.followed.values():
            if following.end is None or following.done:
                continue
            absent = following.absent()
            if not absent and not following.asked:
                self._finish(following)
            elif absent and now >= following.settled_at:
                if self.repair:
                    self._ask(following, absent)
                elif not following.asked:
                    self._finish(following)

    # Inside

    def _finish(self, following: Following) -> None:
        following.done = True
        self._finished += 1

    def _ask(self, following: Following, holes: list[range]) -> None:
        for hole in holes:
            following.asked.append(hole)
            self.fetches.append((following.acquisition, hole))

    def _following(self, generation: int, acquisition: uuid.UUID, nav_shape: tuple[int, ...]) -> Following | None:
        if self.empty.newer(generation) is not None:
            self._leftovers += 1
        if not self.follows(generation):
            return None
        following = self.followed.get(generation)
        if following is None:
            following = self.followed[generation] = Following(acquisition, generation, nav_shape)
        return following

    def _acquisition_status(self, status: AcquisitionStatus) -> None:
        self._following(status.generation, status.acquisition, status.nav_shape)

    def _ended(self, end: End, now: float) -> None:
        if not end.accounting.placed and end.generation not in self.followed:
            if self.follows(end.generation):
                self.empty.ended(end, now)
            return
        self._closed(end, now)

    def _closed(self, end: End, now: float) -> None:
        following = self._following(end.generation, end.acquisition, end.nav_shape)
        if following is None or following.end is not None:
            return
        following.end = end
        for each in end.accounting.missing_ranges:
            following.missing.add(each.start, each.stop)
        # Tiles come in a topic of their own, so some may be behind the end.
        following.settled_at = now + SETTLE_SECONDS

    def _tile(self, tile: Tile, lost: int, now: float) -> list[Tile]:
        self.lost_messages += lost
        following = self._following(tile.generation, tile.acquisition, tile.nav_shape)
        if following is None or following.done:
            return []
        if following.end is not None:
            following.settled_at = max(following.settled_at, now + SETTLE_SECONDS)
        if self.repair and lost and tile.first_position > following.received.stop:
            hole = PositionSet([*following.asked, *following.missing]).absent(
                following.received.stop, tile.first_position
            )
            self._ask(following, hole)
        return self._fresh(following, tile)

    def _fresh(self, following: Following, tile: Tile) -> list[Tile]:
        """The parts of a tile that were not handed on before."""
        fresh = following.received.add(tile.first_position, tile.first_position + tile.count)
        if len(fresh) == 1 and len(fresh[0]) == tile.count:
            return [tile]
        return [tile.part(each) for each in fresh]
