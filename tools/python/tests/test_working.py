"""The worker's side of the work protocol, without sockets: what PROTOCOL.md, section 6 says, message by message."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stemwire._core.worker_actions import (
    Begin,
    Close,
    Connect,
    Drop,
    End,
    Ending,
    Forget,
    Map,
    Merge,
    Prepare,
    Send,
    Take,
    Tell,
)
from stemwire._core.working import Phase, WorkerSession
from stemwire._wire import stemwire_pb2 as pb

from .test_vectors import golden

ACQUISITION = bytes(range(16))


class Driver:
    """A session, and what it has done since it was last asked."""

    def __init__(self, **options: Any) -> None:
        offer = pb.WorkerOffer(udfs=[pb.UdfOffer(name="sum", version=1)])
        self.session = WorkerSession("test", bytes(16), offer, items=3, memory=1000, **options)
        self.now = 0.0
        self.session.start(0.0)
        assert self.actions() == [Connect()]

    def actions(self) -> list[Any]:
        return self.session.take_actions()

    def sent(self) -> list[pb.WorkMessage]:
        return [each.message for each in self.actions() if isinstance(each, Send)]

    def kinds(self) -> list[str | None]:
        return [each.WhichOneof("kind") for each in self.sent()]

    def receive(self, *payloads: int, **kind: Any) -> None:
        self.session.receive(pb.WorkMessage(**kind), payloads, self.now)

    def connect(self, session: bytes = b"s", silence: int = 3000) -> Driver:
        self.session.connected(self.now)
        (hello,) = self.sent()
        assert hello.hello.epoch == self.session.epoch
        self.receive(
            welcome=pb.WorkWelcome(version=1, session=session, beat_interval_ms=1000, silence_limit_ms=silence)
        )
        assert self.session.is_ready
        assert any(isinstance(each, Tell) for each in self.actions())
        return self

    def plan(self, number: int = 3) -> int:
        start = pb.Start(acquisition=ACQUISITION)
        self.receive(plan=pb.WorkPlan(plan=number, start=start))
        serials = [each.plan for each in self.actions() if isinstance(each, Prepare)]
        if serials:
            self.session.planned(serials[-1], pb.Planned())
        assert "planned" in self.kinds()
        return serials[-1] if serials else 0

    def frames(self, partition: int, count: int, size: int = 100, plan: int = 3, attempt: int = 1) -> None:
        tile = pb.Tile(acquisition=ACQUISITION, partition=partition, count=count)
        self.receive(size, work=pb.WorkTile(item=item(partition, plan, attempt), tile=tile))

    def close(self, partition: int, frames: int, plan: int = 3, attempt: int = 1) -> int:
        self.receive(closed=pb.WorkClosed(item=item(partition, plan, attempt), frames=frames))
        closed = [each.item for each in self.actions() if isinstance(each, Close)]
        return closed[0] if closed else -1


def item(partition: int, plan: int = 3, attempt: int = 1) -> pb.WorkItem:
    return pb.WorkItem(plan=plan, partition=partition, attempt=attempt)


def test_a_partitions_way() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.frames(7, 4)
    begun = driver.actions()
    assert [type(each) for each in begun] == [Begin, Take]
    driver.frames(7, 4)
    serial = driver.close(7, 8)
    driver.session.finished(serial, pb.WorkResult(frames=8), (b"x",))
    (result,) = driver.sent()
    assert result.result.item == item(7)
    # It is kept until it is acknowledged, and sent again on a new connection to the same server process.
    driver.session.disconnected(0.0)
    assert [type(each) for each in driver.actions()] == [Forget, Tell]
    driver.session.tick(0.1)
    assert driver.actions() == [Connect()]
    driver.session.connected(0.1)
    driver.actions()
    driver.receive(welcome=pb.WorkWelcome(version=1, session=b"s"))
    assert driver.sent() == [result]
    driver.receive(ack=pb.Ack(item=item(7)))
    driver.receive(ask=pb.Ask(item=item(7), frames=8, closed=True))
    (answer,) = driver.sent()
    assert not answer.holding.is_whole


def test_another_server_process_wants_nothing_of_the_former_one() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.frames(1, 2)
    serial = driver.close(1, 2)
    driver.session.finished(serial, pb.WorkResult(), ())
    driver.frames(2, 2)
    driver.close(2, 2)
    driver.session.disconnected(0.0)
    driver.session.tick(1.0)
    driver.actions()
    driver.session.connected(1.0)
    driver.actions()
    driver.receive(welcome=pb.WorkWelcome(version=1, session=b"other"))
    actions = driver.actions()
    assert Drop in map(type, actions)
    assert not [each for each in actions if isinstance(each, Send) and each.message.HasField("result")]


def test_frames_that_were_lost_on_the_way() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.frames(1, 2)
    driver.close(1, 3)
    failed = [each.failed for each in driver.sent()]
    driver.frames(1, 1)
    assert not failed or not failed[0].udf_error
    driver.receive(ask=pb.Ask(item=item(1), frames=3, closed=True))
    (answer,) = driver.sent()
    assert answer.failed.message.startswith("frames lost on the way: 2 of 3")


def test_credit_is_the_window_without_what_is_left_of_former_connections() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.frames(1, 2, size=300)
    serial = driver.close(1, 2)
    driver.session.disconnected(0.0)
    driver.session.tick(1.0)
    driver.actions()
    driver.session.connected(1.0)
    (hello,) = driver.sent()
    assert (hello.hello.credit.items, hello.hello.credit.bytes) == (2, 700)
    driver.receive(welcome=pb.WorkWelcome(version=1, session=b"s"))
    driver.actions()
    driver.session.finished(serial, pb.WorkResult(), ())
    result, credit = driver.sent()
    assert result.HasField("result")
    assert (credit.credit.items, credit.credit.bytes) == (3, 1000)


def test_asked_withdrawn_over() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.frames(1, 2)
    driver.actions()
    driver.receive(ask=pb.Ask(item=item(1), frames=2))
    assert driver.sent()[0].holding.is_whole
    driver.receive(ask=pb.Ask(item=item(9)))
    assert driver.sent()[0].holding.is_whole
    driver.receive(withdraw=pb.Withdraw(item=item(1)))
    dropped, withdrew = driver.actions()
    assert isinstance(dropped, Drop)
    assert withdrew.message.withdrew.item == item(1)
    driver.receive(withdraw=pb.Withdraw(item=item(5)))
    assert driver.kinds() == ["withdrew"]
    driver.frames(2, 2)
    driver.actions()
    driver.receive(plan_over=pb.PlanOver(plan=3))
    assert [type(each) for each in driver.actions()] == [Drop, Forget]
    driver.frames(4, 1)
    (failed,) = driver.sent()
    assert "does not have plan 3" in failed.failed.message


def test_a_plan_that_cannot_be_done() -> None:
    driver = Driver().connect()
    driver.receive(plan=pb.WorkPlan(plan=3, start=pb.Start(acquisition=ACQUISITION)))
    (prepare,) = driver.actions()
    driver.frames(1, 2)
    driver.actions()
    driver.session.planned(prepare.plan, pb.Planned(failure="no such parameter"))
    told = driver.sent()
    assert [each.WhichOneof("kind") for each in told] == ["planned", "failed"]
    assert told[1].failed.udf_error
    driver.receive(merge_task=pb.MergeTask(task=8, plan=3))
    assert driver.sent()[0].merge_task_done.failure == "no such parameter"


def test_merge_tasks_belong_to_their_connection() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.receive(merge_task=pb.MergeTask(task=8, plan=3))
    (merge,) = driver.actions()
    assert isinstance(merge, Merge)
    driver.session.disconnected(0.0)
    driver.session.tick(1.0)
    driver.actions()
    driver.connect()
    driver.actions()
    driver.session.merged(merge.task, pb.MergeTaskDone(task=8), ())
    assert not driver.sent()


def test_beats_and_silence() -> None:
    driver = Driver().connect()
    beats = 0
    while driver.session.is_ready:
        driver.now = driver.session.next_time
        driver.session.tick(driver.now)
        beats += driver.kinds().count("beat")
    assert driver.now == pytest.approx(3.0)
    assert beats == 2
    assert driver.session.phase is Phase.PAUSING


def test_leaving() -> None:
    driver = Driver().connect()
    driver.plan()
    driver.frames(1, 2)
    serial = driver.close(1, 2)
    driver.frames(2, 2)
    driver.actions()
    driver.session.leave(10.0, 0.0)
    told = driver.sent()
    assert [each.WhichOneof("kind") for each in told] == ["credit", "holding"]
    assert told[0].credit.items == 0
    driver.session.finished(serial, pb.WorkResult(), ())
    assert driver.kinds() == ["result"]
    driver.receive(ack=pb.Ack(item=item(1)))
    *_, bye, end = driver.actions()
    assert bye.message.HasField("bye")
    assert end == End(Ending.LEFT)


def test_refused_and_unreachable() -> None:
    driver = Driver(connect_timeout=5.0)
    driver.session.connected(0.0)
    driver.actions()
    driver.receive(failure=pb.Failure(code="busy", message="too many workers"))
    assert driver.actions() == [Tell("refused", "too many workers")]
    driver.session.tick(5.0)
    (end,) = driver.actions()
    assert end.ending is Ending.UNREACHABLE
    other = Driver()
    other.session.connected(0.0)
    other.actions()
    other.receive(failure=pb.Failure(code="unsupportedVersion", message="version 2 only"))
    (end,) = other.actions()
    assert end.ending is Ending.REFUSED


@pytest.mark.parametrize("seed", range(30))
def test_whatever_a_server_sends(seed: int) -> None:
    """Golden messages and others, in any order, with connections that break: never an exception, and never an answer to
    an item twice in one connection without being asked."""
    dice = random.Random(seed)
    names = ("work-plan", "work-item-tile", "work-ack", "work-ask", "work-plan-over", "work-merge-task", "work-welcome")
    messages = [pb.WorkMessage.FromString(golden(name)) for name in names]
    for number in range(3):
        frames = pb.Tile(acquisition=ACQUISITION, partition=number, count=1)
        messages += [
            pb.WorkMessage(plan=pb.WorkPlan(plan=number, start=pb.Start(acquisition=ACQUISITION))),
            pb.WorkMessage(closed=pb.WorkClosed(item=item(number, number), frames=dice.randrange(3))),
            pb.WorkMessage(withdraw=pb.Withdraw(item=item(number, number))),
            pb.WorkMessage(ask=pb.Ask(item=item(number, number), frames=dice.randrange(3), closed=dice.random() < 0.5)),
            pb.WorkMessage(plan_over=pb.PlanOver(plan=number)),
            pb.WorkMessage(work=pb.WorkTile(item=item(number, number), tile=frames)),
        ]
    driver = Driver()
    open_items: set[int] = set()
    for _ in range(400):
        driver.now += dice.random() * 0.3
        session = driver.session
        for action in driver.actions():
            if isinstance(action, Begin):
                assert action.item not in open_items
                open_items.add(action.item)
            elif isinstance(action, (Take, Close, Drop)):
                assert action.item in open_items
                if isinstance(action, Drop):
                    open_items.remove(action.item)
            elif isinstance(action, Prepare):
                session.planned(action.plan, pb.Planned(failure=dice.choice(["", "", "no"])))
        choice = dice.random()
        if session.phase is Phase.CONNECTING and choice < 0.7:
            session.connected(driver.now)
        elif choice < 0.05:
            session.disconnected(driver.now)
        elif choice < 0.15 and open_items:
            done = dice.choice(sorted(open_items))
            if done in session._work._ids:
                open_items.remove(done)
                session.finished(done, pb.WorkResult(), ())
        elif choice < 0.25:
            session.tick(driver.now)
        else:
            session.receive(dice.choice(messages), [dice.randrange(100)] * dice.choice([0, 1, 1, 1, 2]), driver.now)
        assert len(session._work._items) == len(session._work._ids)
    driver.session.leave(0.0, driver.now)
    assert isinstance(driver.actions()[-1], End)


PLACES = [pb.FramesInMemory(first_position=0, count=3, offset=64), pb.FramesInMemory(first_position=3, count=1)]


def memory_driver() -> Driver:
    driver = Driver()
    driver.session.offer.reads_memory = True
    driver.session.connected(driver.now)
    (hello,) = driver.sent()
    assert hello.hello.worker.reads_memory
    told = pb.FrameMemory(path="/proc/1/fd/9", bytes=4096, inode=7, slots=2)
    driver.receive(welcome=pb.WorkWelcome(version=1, session=b"s", frame_memory=told))
    assert driver.actions()[0] == Map(told)
    return driver


def in_memory(driver: Driver, partition: int, count: int = 4) -> None:
    tile = pb.Tile(acquisition=ACQUISITION, partition=partition, count=count, payload_bytes=400)
    driver.receive(work=pb.WorkTile(item=item(partition), tile=tile, memory=PLACES))


def test_frames_in_the_servers_memory() -> None:
    driver = memory_driver()
    driver.session.mapped()
    assert driver.kinds() == ["frame_memory_mapped"]
    driver.plan()
    in_memory(driver, 7)
    begun, taken = driver.actions()
    assert isinstance(begun, Begin)
    assert [(each.first_position, each.count) for each in taken.places] == [(0, 3), (3, 1)]
    # Others may still be sent.
    driver.frames(7, 2)
    assert driver.close(7, 6) == begun.item


def test_frames_that_are_there_no_more_are_given_back() -> None:
    driver = memory_driver()
    driver.session.mapped()
    driver.plan()
    in_memory(driver, 7)
    serial = driver.close(7, 4)
    driver.session.gone(serial)
    (answer,) = driver.sent()
    assert answer.holding == pb.Holding(item=item(7), is_whole=False)
    assert driver.session._work.window == (3, 1000)
    # Of a connection before, the server knows already that it is not done.
    in_memory(driver, 8)
    serial = driver.close(8, 4)
    driver.session.disconnected(0.0)
    driver.actions()
    driver.session.gone(serial)
    assert driver.sent() == []


def test_places_that_cannot_be_read_fail_the_item() -> None:
    driver = memory_driver()
    driver.plan()
    in_memory(driver, 7)
    (answer,) = driver.sent()
    assert not answer.failed.udf_error
    driver.session.mapped()
    driver.actions()
    in_memory(driver, 8, count=5)
    (answer,) = driver.sent()
    assert "not as many" in answer.failed.message


def test_memory_is_of_one_connection() -> None:
    driver = memory_driver()
    driver.session.mapped()
    driver.session.disconnected(0.0)
    driver.actions()
    driver.session.mapped()
    assert driver.sent() == []
    driver.session.tick(0.1)
    driver.connect()
    driver.plan()
    in_memory(driver, 7)
    assert driver.kinds() == ["failed"]
