"""Following tiles through a lossy live stream: every position once, or it is told why not."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from stemwire import Accounting, End, FrameFormat, Start, Tile
from stemwire._core.fetching import FetchDone, Unavailable
from stemwire._core.following import TileFollower
from stemwire._core.live import LiveMessage
from stemwire._core.positions import PositionSet
from stemwire.status import AcquisitionStatus, DetectorStatus, LiveStatus, RingStatus, Status

FORMAT = FrameFormat("U08", 6, "1x1", 2, 2, 1, 4, 4, (2, 2), np.dtype(np.uint8))


@dataclass
class Model:
    """A server with one acquisition after another; the seed decides what is lost, and when."""

    dice: random.Random
    size: int
    generation: int = 1
    acquisition: uuid.UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        hole = self.dice.randrange(self.size)
        self.missing = set(range(hole, min(self.size, hole + self.dice.randrange(20))))
        self.released = set(range(self.dice.choice([0, 0, self.dice.randrange(self.size)])))

    def tile(self, start: int, stop: int) -> Tile:
        payload = memoryview(bytes(8 * (stop - start)))
        return Tile(
            self.acquisition, self.generation, start, stop - start, 0, FORMAT, (self.size,), 8, 0, 4, 0, payload
        )

    def tiles(self) -> list[Tile]:
        cuts = sorted(self.dice.sample(range(1, self.size), self.dice.randrange(2, 30)))
        placed = PositionSet([range(low, high) for low, high in zip([0, *cuts], [*cuts, self.size], strict=True)])
        found = []
        for low, high in zip([0, *cuts], [*cuts, self.size], strict=True):
            here = PositionSet(range(each, each + 1) for each in range(low, high) if each not in self.missing)
            found += [self.tile(each.start, each.stop) for each in here]
        assert len(placed) == self.size
        if self.dice.random() < 0.3:
            late = self.dice.randrange(len(found))
            found.append(found.pop(late))
        return found

    @property
    def accounting(self) -> Accounting:
        ranges = tuple(PositionSet(range(each, each + 1) for each in self.missing))
        truncated = self.dice.random() < 0.3
        return Accounting(
            self.size,
            self.size - len(self.missing),
            len(self.missing),
            missing_ranges=() if truncated else ranges,
            missing_ranges_truncated=truncated,
        )

    def start(self) -> Start:
        return Start(self.acquisition, self.generation, (self.size,), self.size, FORMAT, 16, b"", 0)

    def end(self) -> End:
        return End(self.acquisition, self.generation, "complete", self.accounting, nav_shape=(self.size,))

    def status(self, ended: bool) -> Status:
        of_it = AcquisitionStatus(
            self.acquisition, self.generation, "idle" if ended else "", self.accounting, (self.size,), (2, 2), 1, 1, 0
        )
        return Status(
            "model",
            "idle",
            DetectorStatus(),
            None if ended else of_it,
            of_it if ended else None,
            (),
            RingStatus(),
            LiveStatus(),
            (),
            1.0,
            1,
            0,
        )

    def fetch(self, positions: range, ended: bool) -> tuple[list[Tile], FetchDone]:
        unavailable: list[Unavailable] = []
        tiles = []
        for position in positions:
            here = range(position, position + 1)
            if position in self.missing:
                unavailable.append(Unavailable(here, "missing"))
            elif position in self.released:
                unavailable.append(Unavailable(here, "released"))
            elif not ended and self.dice.random() < 0.1:
                unavailable.append(Unavailable(here, "pending"))
            else:
                tiles.append(self.tile(position, position + 1))
        return tiles, FetchDone(self.acquisition, positions, tuple(unavailable))


def live(topic: str, body: object, lost: int = 0) -> LiveMessage:
    return LiveMessage((topic, "model"), b"s", 1, 0, lost, body)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(300))
def test_every_position_once(seed: int) -> None:
    dice = random.Random(seed)
    model = Model(dice, dice.randrange(40, 400))
    loss = dice.choice([0.0, 0.1, 0.5, 1.0])
    follower = TileFollower(1, 1, repair=True)
    seen: Counter[int] = Counter()
    now = 0.0
    lost = 0

    def take(tiles: list[Tile]) -> None:
        seen.update(position for tile in tiles for position in tile.positions)

    def serve(ended: bool) -> None:
        while follower.fetches:
            acquisition, positions = follower.fetches.popleft()
            assert acquisition == model.acquisition
            tiles, done = model.fetch(positions, ended)
            for tile in tiles:
                take(follower.fetched(tile))
            follower.fetch_done(done, now)

    if dice.random() >= loss:
        follower.live(live("acquisition", model.start()), now)
    for tile in model.tiles():
        now += 0.01
        if dice.random() < loss:
            lost += 1
            continue
        take(follower.live(live("tile", tile, lost), now))
        lost = 0
        if dice.random() < 0.3:
            serve(ended=False)
        if dice.random() < 0.1:
            follower.live(live("event", model.status(ended=False)), now)
    if dice.random() >= loss:
        follower.live(live("acquisition", model.end()), now)
    for _ in range(100):
        now += 0.3
        follower.live(live("event", model.status(ended=True)), now)
        follower.tick(now)
        serve(ended=True)
        if follower.done:
            break
    assert follower.done
    following = follower.followed[1]
    told = {position for each in following.released for position in each}
    assert max(seen.values(), default=0) <= 1
    assert set(seen) | told == set(range(model.size)) - model.missing
    assert told <= model.released
    assert following.absent() == []


def test_without_repair_it_ends_with_holes() -> None:
    model = Model(random.Random(1), 100)
    model.missing = set()
    follower = TileFollower(1, 1, repair=False)
    follower.live(live("tile", model.tile(0, 10)), 0.0)
    follower.live(live("tile", model.tile(20, 100), lost=1), 0.0)
    follower.live(live("acquisition", model.end()), 0.0)
    follower.tick(0.1)
    assert not follower.done
    assert not follower.fetches
    follower.tick(0.3)
    assert follower.done
    assert follower.followed[1].absent() == [range(10, 20)]
    assert follower.lost_messages == 1


def test_overlaps_are_cut_off() -> None:
    model = Model(random.Random(1), 100)
    follower = TileFollower(1, 1, repair=True)
    follower.live(live("tile", model.tile(10, 20)), 0.0)
    parts = follower.live(live("tile", model.tile(5, 30)), 0.0)
    assert [part.positions for part in parts] == [range(5, 10), range(20, 30)]
    assert follower.fetched(model.tile(12, 18)) == []


def test_a_jump_is_fetched_at_once_and_a_missing_frame_is_not() -> None:
    model = Model(random.Random(1), 100)
    follower = TileFollower(1, 1, repair=True)
    follower.live(live("tile", model.tile(0, 10)), 0.0)
    follower.live(live("tile", model.tile(12, 20)), 0.0)
    assert not follower.fetches
    follower.live(live("tile", model.tile(30, 40), lost=1), 0.0)
    assert list(follower.fetches) == [(model.acquisition, range(20, 30))]


def test_several_acquisitions_of_which_one_was_missed() -> None:
    dice = random.Random(1)
    models = [Model(dice, 50, generation) for generation in (1, 2, 3)]
    for model in models:
        model.missing, model.released = set(), set()
    follower = TileFollower(1, 2, repair=True)
    seen: Counter[tuple[int, int]] = Counter()
    status = models[1].status(ended=True)
    earlier = models[0].status(ended=True).previous_acquisition
    assert earlier is not None
    follower.live(live("event", replace(status, earlier_acquisitions=(earlier,))), 0.0)
    follower.live(live("tile", models[2].tile(0, 50)), 0.0)
    for step in range(1, 10):
        follower.tick(step * 0.3)
        while follower.fetches:
            acquisition, positions = follower.fetches.popleft()
            model = next(each for each in models if each.acquisition == acquisition)
            tiles, done = model.fetch(positions, ended=True)
            for tile in tiles:
                for part in follower.fetched(tile):
                    seen.update((part.generation, position) for position in part.positions)
            follower.fetch_done(done, step * 0.3)
    assert follower.done
    assert set(seen) == {(generation, position) for generation in (1, 2) for position in range(50)}
    assert sorted(follower.followed) == [1, 2]


def test_an_acquisition_without_a_frame_ends() -> None:
    follower = TileFollower(1, 1, repair=True)
    counts = Accounting(64, 0, 64, missing_ranges=(range(64),))
    end = End(uuid.uuid4(), 1, "aborted", counts)
    follower.live(live("acquisition", end), 0.0)
    assert follower.next_time == pytest.approx(0.5)
    assert follower.empty.wants_status(0.5)
    of_it = AcquisitionStatus(end.acquisition, 1, "aborted", counts, (), (), 0, 0, 0)
    idle = replace(Model(random.Random(1), 64).status(ended=True), previous_acquisition=of_it, state="idle")
    follower.status_answer(replace(idle, state="armed"), 0.5)
    follower.tick(0.5)
    assert not follower.done
    follower.status_answer(idle, 1.0)
    follower.tick(1.0)
    assert follower.done
    assert not follower.fetches


def test_one_without_a_frame_that_was_a_leftover() -> None:
    model = Model(random.Random(1), 64, generation=2)
    follower = TileFollower(1, 1, repair=True)
    counts = Accounting(64, 0, 64, missing_ranges=(range(64),))
    follower.live(live("acquisition", End(uuid.uuid4(), 1, "aborted", counts)), 0.0)
    assert follower.live(live("tile", model.tile(0, 64)), 0.1)
    follower.live(live("acquisition", replace(model.end(), accounting=Accounting(64, 64))), 0.2)
    follower.tick(0.2)
    assert follower.done
    assert sorted(follower.followed) == [2]
