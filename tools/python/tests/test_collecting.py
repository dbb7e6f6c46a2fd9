"""Results: snapshot first, newest versions, and an end that comes before, after, or never."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from stemwire import Accounting, Channel, End
from stemwire._core.collecting import ResultFollower
from stemwire._core.live import LiveMessage
from stemwire._core.messages import SnapshotState
from stemwire.status import AcquisitionStatus, DetectorStatus, LiveStatus, ResultName, RingStatus, RunStatus, Status

ACQUISITION = uuid.uuid4()
COUNTS = Accounting(4, 4)


def channel(version: int, *, udf: str = "sum", final: bool = False, generation: int = 1, run: str = "r") -> Channel:
    acquisition = ACQUISITION if generation == 1 else uuid.UUID(int=generation)
    data = np.full((2, 2), version)
    valid = np.ones((2, 2), np.bool_)
    return Channel(
        acquisition, generation, run, udf, "intensity", version, "nav", data, valid, 4, 4, final, (2, 2), (8, 8)
    )


def end(*udfs: str, generation: int = 1) -> End:
    acquisition = ACQUISITION if generation == 1 else uuid.UUID(int=generation)
    names = tuple(ResultName("r", udf, "intensity") for udf in udfs)
    return End(acquisition, generation, "complete", COUNTS, results=names)


def idle(ended: End) -> Status:
    of_it = AcquisitionStatus(ended.acquisition, ended.generation, ended.reason, ended.accounting, (), (), 0, 0, 0)
    return Status("m", "idle", DetectorStatus(), None, of_it, (), RingStatus(), LiveStatus(), (), 1.0, 1, 0)


def tell(follower: ResultFollower, body: object, now: float = 0.0) -> None:
    follower.live(LiveMessage(("x",), b"s", 1, 0, 0, body), now)  # type: ignore[arg-type]


def test_older_versions_change_nothing() -> None:
    follower = ResultFollower("r", 1)
    follower.snapshot(SnapshotState(None, None, (channel(5),)), 0.0)
    assert follower.changed()
    for version in (4, 5):
        tell(follower, channel(version))
        assert not follower.changed()
    tell(follower, channel(6))
    assert follower.changed()
    assert follower.results["sum"].version == 6
    tell(follower, channel(6, final=True))
    assert follower.results["sum"].final
    tell(follower, channel(6))
    assert follower.results["sum"].final


@pytest.mark.parametrize("end_first", [True, False])
def test_it_is_done_when_all_named_results_are_final(end_first: bool) -> None:
    follower = ResultFollower("r", 1)
    tell(follower, channel(1))
    bodies = [end("sum", "bf"), channel(2, final=True), channel(1, udf="bf", final=True)]
    for body in bodies if end_first else reversed(bodies):
        assert not follower.done
        tell(follower, body)
    assert follower.done
    assert follower.results.final
    assert follower.results.complete
    assert follower.results.accounting == COUNTS


def test_finals_that_are_lost_are_asked_for() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, channel(1))
    tell(follower, end("sum"), 10.0)
    assert not follower.wants_snapshot(10.2)
    assert follower.next_time == pytest.approx(10.25)
    assert follower.wants_snapshot(10.3)
    follower.snapshot(SnapshotState(None, end("sum"), (channel(3, final=True),)), 10.3)
    assert follower.done


def test_it_gives_up_on_finals_that_nobody_has() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, channel(1))
    tell(follower, end("sum"), 0.0)
    now, asked = 0.0, 0
    while not follower.done and now < 20:
        now += 0.1
        if follower.wants_snapshot(now):
            asked += 1
            follower.no_snapshot(now)
    assert 4 < now < 6
    assert asked < 30
    assert not follower.results.final


def test_an_end_alone_is_not_final() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, end("sum", "bf"))
    assert follower.acquisition == ACQUISITION
    assert not follower.results.final
    tell(follower, channel(1, final=True))
    assert not follower.results.final
    assert not follower.done


def test_an_end_that_is_lost_shows_by_the_next_acquisition() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, channel(1))
    tell(follower, channel(1, generation=2), 1.0)
    assert follower.results["sum"].generation == 1
    assert follower.wants_snapshot(1.3)


def test_other_runs_and_earlier_acquisitions_are_left_out() -> None:
    follower = ResultFollower("r", 2)
    tell(follower, channel(1, run="other", generation=2))
    tell(follower, channel(1, generation=1))
    tell(follower, end("sum", generation=1))
    assert not follower.changed()
    assert follower.next_time is None
    tell(follower, channel(1, generation=2))
    assert follower.changed()
    assert follower.acquisition == uuid.UUID(int=2)


def test_an_acquisition_without_a_frame() -> None:
    follower = ResultFollower("r", 1)
    empty = replace(end(), accounting=Accounting(4, 0, 4), reason="aborted")
    tell(follower, empty)
    assert not follower.done
    assert follower.empty.wants_status(0.5)
    follower.status_answer(idle(empty), 0.5)
    assert follower.done
    assert not follower.results.complete
    assert len(follower.results) == 0


def test_one_without_a_frame_that_was_a_leftover() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, replace(end(), accounting=Accounting(4, 0, 4), reason="aborted"))
    tell(follower, channel(1, generation=2, final=True), 0.1)
    tell(follower, end("sum", generation=2), 0.2)
    assert follower.done
    assert follower.results["sum"].generation == 2


def status_of_run(finished: bool, error: str = "", generation: int = 1) -> Status:
    run = RunStatus("r", (), 0, 4, 0, error, finished, 0)
    return replace(idle(end("sum", generation=generation)), runs=(run,))


def test_it_waits_for_workers_that_are_still_at_it() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, end("sum"), 0.0)
    now = 0.0
    while now < 20:
        now += 0.5
        follower.status(status_of_run(finished=False), now)
        if follower.wants_snapshot(now):
            follower.no_snapshot(now)
    assert not follower.done
    tell(follower, channel(1, final=True), now)
    assert follower.done


def test_a_run_that_nobody_can_do_is_over_at_once() -> None:
    follower = ResultFollower("r", 2)
    follower.status(status_of_run(True, "an older one", generation=1), 0.0)
    assert not follower.done
    follower.status(status_of_run(True, "no worker can do it", generation=2), 0.0)
    assert follower.done
    assert follower.error == "no worker can do it"


def test_an_acquisition_that_the_server_keeps_no_more_is_not_waited_for() -> None:
    follower = ResultFollower("r", 1)
    tell(follower, channel(1), 0.0)
    tell(follower, end("sum"), 0.1)
    follower.status(status_of_run(finished=False), 0.2)
    assert follower.wants_snapshot(1.0)
    follower.forgotten(1.0)
    assert follower.done
    assert follower.changed()
    assert not follower.results.final


def test_a_server_without_acquisitions_is_waited_for() -> None:
    follower = ResultFollower("r", 1)
    follower.forgotten(0.0)
    assert not follower.done
