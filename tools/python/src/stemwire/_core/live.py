"""The live stream: multipart messages in, checked messages out; jumps in the numbers of a topic are losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from .._wire import stemwire_pb2 as pb
from ..errors import ProtocolError
from ..frames import Tile
from ..results import Channel
from ..status import End, Event, Start, Status
from . import messages
from .topics import parse_topic

Body: TypeAlias = Start | Tile | Channel | End | Event | Status


class LiveMessage(NamedTuple):
    topic: tuple[str, ...]
    session: bytes
    sequence: int
    sent_at: int
    lost: int
    """Messages of this topic that were lost just before this one."""
    body: Body | None
    """None: of a kind that this version does not know."""


class LiveDecoder:
    """Decodes what a SUB socket receives. Keeps the newest number of each topic."""

    def __init__(self, verified: bool) -> None:
        self._verified = verified
        self._formats = messages.FormatCache()
        self._numbers: dict[bytes, tuple[bytes, int]] = {}
        self._header = pb.LiveHeader()

    def decode(self, parts: Sequence[memoryview]) -> LiveMessage:
        messages.check_parts(parts)
        if len(parts) < 2:
            raise ProtocolError(f"a live message of {len(parts)} parts; it has topic and header at least")
        name = bytes(parts[0])
        topic = parse_topic(name)
        header = self._header
        messages.parse(header, parts[1])
        session = header.session
        body = self._body(header, parts[2:])
        return LiveMessage(topic, session, header.sequence, header.sent_at, self._loss(name, header), body)

    def _loss(self, name: bytes, header: pb.LiveHeader) -> int:
        known = self._numbers.get(name)
        self._numbers[name] = (header.session, header.sequence)
        if known is None or known[0] != header.session:
            return 0
        return max(0, header.sequence - known[1] - 1)

    def _body(self, header: pb.LiveHeader, payloads: Sequence[memoryview]) -> Body | None:
        kind = header.WhichOneof("kind")
        if kind == "tile":
            return messages.tile(header.tile, payloads, self._verified, self._formats)
        if kind == "update":
            return messages.channel(header.update, payloads, self._verified)
        if kind == "start":
            return messages.start(header.start)
        if kind == "end":
            return messages.end(header.end)
        if kind == "event":
            return messages.event(header.event, header.sent_at)
        if kind == "status":
            return messages.status(header.status)
        return None
