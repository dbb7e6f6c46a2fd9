"""Golden bytes of proto/vectors: decoded, encoded again, and read through the package's own types."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from google.protobuf.message import Message

from stemwire._core import messages
from stemwire._core.control import Exchange
from stemwire._core.fetching import FetchSession
from stemwire._core.live import LiveDecoder
from stemwire._wire import stemwire_pb2 as pb
from stemwire.errors import DetectorRefused

from .conftest import REPOSITORY

VECTORS = REPOSITORY / "proto" / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.bin"))
ACQUISITION = uuid.UUID(bytes=bytes(range(16)))


def golden(name: str) -> bytes:
    return (VECTORS / f"{name}.bin").read_bytes()


def message_of(name: str) -> tuple[type, str]:
    text = (VECTORS / f"{name}.txtpb").read_text(encoding="utf-8")
    kind = re.search(r"# proto-message: stemwire\.v1\.(\w+)", text)
    assert kind is not None
    return getattr(pb, kind[1]), text


def parsed(name: str) -> Message:
    kind, text = message_of(name)
    message: Message = text_format.Parse(text, kind())
    return message


def test_there_are_vectors() -> None:
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_the_text_and_come_back(name: str) -> None:
    kind, text = message_of(name)
    data = golden(name)
    decoded = kind.FromString(data)
    assert decoded == text_format.Parse(text, kind())
    assert decoded.WhichOneof("kind")
    assert decoded.SerializeToString(deterministic=True) == data


def live(name: str, topic: bytes, *payloads: bytes) -> object:
    return LiveDecoder(False).decode([memoryview(each) for each in (topic, golden(name), *payloads)]).body


def test_start() -> None:
    start = live("live-start", b"1/acquisition/merlin/")
    assert isinstance(start, messages.Start)
    assert (start.acquisition, start.generation, start.nav_shape) == (ACQUISITION, 2, (2, 3))
    assert start.format.sig_shape == (2, 4)
    assert start.format.dtype == np.uint16
    assert start.acquisition_header == b"HDR,\t\r\nEnd\t"


def test_tile() -> None:
    tile = live("live-tile", b"1/tile/merlin/", bytes(830))
    assert isinstance(tile, messages.Tile)
    assert tile.positions == range(256, 258)
    assert tile.frames.shape == (2, 2, 4)
    assert (tile.partition, tile.stride, tile.header_offset, tile.pixel_offset) == (1, 415, 15, 399)


def test_update() -> None:
    data = np.arange(6, dtype="<u8").tobytes()
    channel = live("live-update", b"1/result/merlin/default/bf/intensity/", data, b"\x2d")
    assert isinstance(channel, messages.Channel)
    assert channel.data.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert channel.valid.tolist() == [[True, False, True], [True, False, True]]
    assert (channel.version, channel.final, channel.coverage) == (5, True, 4 / 6)


def test_end() -> None:
    end = live("live-end", b"1/acquisition/merlin/")
    assert isinstance(end, messages.End)
    assert end.accounting.missing_ranges == (range(3, 5), range(9, 10))
    assert end.accounting.unaccounted == 0
    assert end.accounting.missing_ranges_truncated
    assert [(each.run, each.udf, each.channel) for each in end.results] == [
        ("default", "bf", "intensity"),
        ("default", "sum", "intensity"),
    ]


def test_event_and_status() -> None:
    event = live("live-event", b"1/event/merlin/")
    assert isinstance(event, messages.Event)
    assert event.code == "detector.disconnected"
    status = live("live-status", b"1/event/merlin/")
    assert isinstance(status, messages.Status)
    assert status.acquisition is not None
    assert status.latest_generation == 2
    assert status.detector.reason == "control: connection refused"
    assert status.runs[0].udfs[0].parameters == {"r": "30"}
    # One without an id cannot be named, and is left out.
    assert status.previous_acquisition is None
    assert [each.end_reason for each in status.ended] == ["aborted"]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("reply-")])
def test_replies(name: str) -> None:
    exchange = Exchange("status", pb.StatusRequest(), 1.0)
    exchange.id = "request-1"
    if name == "reply-failure":
        with pytest.raises(DetectorRefused, match="the detector refused") as refused:
            exchange.receive([memoryview(golden(name))])
        assert refused.value.detector_code == 3
        return
    answer = exchange.receive([memoryview(b""), memoryview(golden(name))])
    assert answer is not None
    told = parsed(name)
    assert isinstance(told, pb.Reply)
    assert answer.reply == told
    assert (answer.reply.state_before, answer.reply.state_after) == (told.state_before, told.state_after)
    exchange.id = "another"
    assert exchange.receive([memoryview(golden(name))]) is None


def test_snapshot() -> None:
    reply = pb.Reply.FromString(golden("reply-snapshot"))
    payloads = [memoryview(bytes(48)), memoryview(b"\x3f")]
    state = messages.snapshot(reply.snapshot, payloads, False)
    assert state.start is not None
    assert state.end is not None
    assert [(each.udf, each.name, each.data.shape) for each in state.channels] == [("bf", "intensity", (2, 3))]
    assert state.channels[0].valid.all()


REQUESTS = {
    "abort": ("abort", pb.AbortRequest()),
    "arm": ("arm", pb.ArmRequest(nav_shape=[-1, 3], frames=6, trigger="soft")),
    "detector-cmd": ("detector", pb.DetectorRequest(cmd="RESET")),
    "detector-get": ("detector", pb.DetectorRequest(get="COUNTERDEPTH")),
    "detector-set": ("detector", pb.DetectorRequest(set=pb.DetectorSet(name="COUNTERDEPTH", value="12"))),
    "directory": ("directory", pb.DirectoryRequest()),
    "hello": ("hello", pb.Hello(version_min=1, version_max=2, client="test 1.0")),
    "list-runs": ("list_runs", pb.ListRunsRequest()),
    "snapshot": (
        "snapshot",
        pb.SnapshotRequest(run="default", udf="bf", channel="intensity", acquisition=ACQUISITION.bytes),
    ),
    "start-run": (
        "start_run",
        pb.StartRunRequest(
            run="mine",
            udfs=[pb.UdfRequest(id="bf", name="disk", parameters={"r": "30"})],
            acquisitions=1,
            join_current=True,
        ),
    ),
    "status": ("status", pb.StatusRequest()),
    "stop-run": ("stop_run", pb.StopRunRequest(run="mine")),
    "stop": ("stop", pb.StopRequest()),
    "trigger": ("trigger", pb.TriggerRequest()),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("request-")])
def test_requests_are_encoded(name: str) -> None:
    known = REQUESTS.get(name.removeprefix("request-"))
    if known is None:
        request = parsed(name)
        kind = request.WhichOneof("kind")
        assert kind is not None
        known = (kind, getattr(request, kind))
    kind, body = known
    sent = pb.Request.FromString(Exchange(kind, body, 1.0).bytes)
    assert 0 < sent.deadline_ms <= 1000
    sent.id, sent.deadline_ms = "request-1", 1000
    assert sent.SerializeToString(deterministic=True) == golden(name)


def test_work_is_understood() -> None:
    session = FetchSession("test 1.0", 4, 1 << 22, False)
    session.fetch(ACQUISITION, range(100, 150))
    assert len(session.outgoing(0.0)) == 1
    assert session.receive([memoryview(golden("work-welcome"))], 0.0) == []
    assert len(session.outgoing(0.0)) == 1
    assert session.receive([memoryview(golden("work-beat"))], 0.0) == []
    (tile,) = session.receive([memoryview(golden("work-tile")), memoryview(bytes(830))], 0.0)
    assert isinstance(tile, messages.Tile)
    assert tile.fetched
    assert tile.positions == range(256, 258)


def test_generated_code_is_here() -> None:
    assert Path(pb.__file__).with_suffix(".pyi").is_file()
