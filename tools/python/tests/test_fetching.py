"""FETCH under credit, against a server made of a few lines."""

from __future__ import annotations

import uuid

import pytest

from stemwire import DeadlineExceeded, NotFound, ProtocolError, RequestRefused, Tile, VersionMismatch
from stemwire._core.fetching import FetchDone, FetchEvent, FetchSession
from stemwire._wire import stemwire_pb2 as pb

ACQUISITION = uuid.uuid4()
FRAME = 16
WELCOME = pb.WorkMessage(welcome=pb.WorkWelcome(version=1, session=b"s", beat_interval_ms=500))


def parts(message: pb.WorkMessage, *payloads: bytes) -> list[memoryview]:
    return [memoryview(each) for each in (message.SerializeToString(), *payloads)]


def tile(request: int, first: int, count: int) -> list[memoryview]:
    form = pb.FrameFormat(pixel_type="U08", payload_bytes=4, sig_shape=[2, 2], dtype="uint8", data_offset=4)
    body = pb.Tile(
        acquisition=ACQUISITION.bytes,
        generation=1,
        first_position=first,
        count=count,
        format=form,
        stride=FRAME,
        pixel_offset=4,
        payload_bytes=FRAME * count,
        nav_shape=[100],
    )
    return parts(pb.WorkMessage(tile=pb.FetchedTile(request=request, tile=body)), bytes(FRAME * count))


def end(request: int) -> list[memoryview]:
    return parts(pb.WorkMessage(fetch_end=pb.FetchEnd(request=request)))


def sent(session: FetchSession, now: float) -> list[pb.WorkMessage]:
    return [pb.WorkMessage.FromString(each) for each in session.outgoing(now)]


def kinds(messages: list[pb.WorkMessage]) -> list[str | None]:
    return [each.WhichOneof("kind") for each in messages]


def opened() -> FetchSession:
    session = FetchSession("test", 4, 1000, True)
    hello = sent(session, 0.0)
    assert kinds(hello) == ["hello"]
    assert (hello[0].hello.credit.items, hello[0].hello.credit.bytes) == (4, 1000)
    assert len(hello[0].hello.client_id) == 16
    session.receive(parts(WELCOME), 0.0)
    return session


def test_credit_is_given_back_for_what_was_taken() -> None:
    session = opened()
    session.fetch(ACQUISITION, range(10, 20))
    asked = sent(session, 0.1)
    assert kinds(asked) == ["fetch"]
    assert (asked[0].fetch.first, asked[0].fetch.count) == (10, 10)
    number = asked[0].fetch.request
    (got,) = session.receive(tile(number, 10, 4), 0.2)
    assert isinstance(got, Tile)
    assert got.positions == range(10, 14)
    session.receive(tile(number, 14, 6), 0.2)
    credit = sent(session, 0.2)
    assert kinds(credit) == ["credit"]
    assert (credit[0].credit.items, credit[0].credit.bytes) == (2, 10 * FRAME)
    assert session.receive(end(number), 0.3) == [FetchDone(ACQUISITION, range(10, 20), ())]
    assert session.idle


def test_beats() -> None:
    session = opened()
    assert sent(session, 0.4) == []
    assert session.next_time == pytest.approx(0.5)
    assert kinds(sent(session, 0.5)) == ["beat"]
    assert sent(session, 0.6) == []
    assert not session.silent(4.9)
    assert session.silent(5.1)
    session.receive(parts(pb.WorkMessage(beat=pb.Beat())), 5.1)
    assert not session.silent(5.2)


def test_the_limit_of_silence_is_the_servers() -> None:
    session = FetchSession("test", 4, 1000, True)
    sent(session, 0.0)
    welcome = pb.WorkWelcome(version=1, beat_interval_ms=500, silence_limit_ms=2000)
    session.receive(parts(pb.WorkMessage(welcome=welcome)), 0.0)
    assert not session.silent(1.9)
    assert session.silent(2.1)
    assert kinds(sent(session, 1.5)) == ["beat"]
    assert kinds(sent(session, 3.5)) == ["hello"]


def test_many_requests_wait_here() -> None:
    session = opened()
    for start in range(100):
        session.fetch(ACQUISITION, range(start, start + 1))
    asked = sent(session, 0.1)
    assert len(asked) == 16
    session.receive(end(asked[0].fetch.request), 0.1)
    assert [each.fetch.first for each in sent(session, 0.1)] == [16]


@pytest.mark.parametrize("how", ["silence", "failure", "reconnect"])
def test_a_forgotten_peer_asks_for_the_rest(how: str) -> None:
    session = opened()
    session.fetch(ACQUISITION, range(20))
    (first,) = sent(session, 0.1)
    session.receive(tile(first.fetch.request, 0, 5), 0.2)
    now = 10.0 if how == "silence" else 0.3
    if how == "failure":
        session.receive(parts(pb.WorkMessage(failure=pb.Failure(code="wrongState", message="who?"))), now)
    elif how == "reconnect":
        session.reconnected(now)
    again = sent(session, now)
    assert kinds(again) == ["hello"]
    assert again[0].hello.epoch == 2
    # What came before the server forgot still counts, and is not asked for again.
    late = session.receive(tile(first.fetch.request, 5, 5), now)
    assert len(late) == 1
    session.receive(parts(WELCOME), now)
    (asked,) = sent(session, now)
    assert (asked.fetch.first, asked.fetch.count) == (10, 10)
    assert session.receive(end(first.fetch.request), now) == []
    assert session.receive(end(asked.fetch.request), now) == [FetchDone(ACQUISITION, range(20), ())]


def test_failures() -> None:
    session = opened()
    session.fetch(ACQUISITION, range(5))
    sent(session, 0.1)
    gone = parts(pb.WorkMessage(failure=pb.Failure(code="notFound", message="no frames of that")))
    (done,) = session.receive(gone, 0.1)
    assert isinstance(done, FetchDone)
    assert isinstance(done.error, NotFound)
    assert [(each.positions, each.reason) for each in done.unavailable] == [(range(5), "released")]
    with pytest.raises(RequestRefused, match="tired") as refused:
        session.receive(parts(pb.WorkMessage(failure=pb.Failure(code="tired", message="tired"))), 0.1)
    assert refused.value.code == "tired"


def test_a_server_that_does_not_welcome() -> None:
    session = FetchSession("test", 4, 1000, True)
    sent(session, 0.0)
    with pytest.raises(DeadlineExceeded):
        for step in range(100):
            sent(session, step * 0.4)


def test_messages_that_cannot_be() -> None:
    session = opened()
    with pytest.raises(VersionMismatch):
        session.receive(parts(pb.WorkMessage(welcome=pb.WorkWelcome(version=2))), 0.0)
    wrong: list[list[memoryview]] = [
        [],
        [memoryview(b"\xff")],
        tile(1, 0, 2)[:1],
        [*tile(1, 0, 2), memoryview(b"")],
        [tile(1, 0, 2)[0], memoryview(bytes(31))],
        tile(1, 0, 70_000),
        [memoryview(b"")] * 300,
    ]
    for each in wrong:
        with pytest.raises(ProtocolError):
            session.receive(each, 0.0)
    unknown: list[FetchEvent] = session.receive([memoryview(b"\xaa\x06\x02hi")], 0.0)
    assert unknown == []
