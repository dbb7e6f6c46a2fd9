"""Requests and replies of the control socket, without the socket."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from .._wire import stemwire_pb2 as pb
from ..errors import InvalidArgument, NotStemwire, ProtocolError, refusal
from . import messages
from .limits import REQUEST_BYTES, VERSION

_MARGIN = 0.9
"""Share of the time that the server is told, so that its own `timedOut` arrives before the client gives up."""


@dataclass(frozen=True, slots=True)
class Answer:
    reply: pb.Reply
    payloads: Sequence[memoryview]


class Exchange:
    """One request, its repetitions and its reply. The same id again is answered by the server and not done again."""

    def __init__(self, kind: str, body: Message, timeout: float, payload: Sequence[bytes] = ()) -> None:
        self.kind = kind
        self.payload = payload
        self.id = uuid.uuid4().hex
        request = pb.Request(id=self.id, version=VERSION, deadline_ms=max(1, int(timeout * _MARGIN * 1000)))
        getattr(request, kind).CopyFrom(body)
        getattr(request, kind).SetInParent()
        self.bytes = request.SerializeToString()
        if len(self.bytes) > REQUEST_BYTES:
            raise InvalidArgument(f"the request {kind} has {len(self.bytes)} bytes; the limit is {REQUEST_BYTES}")

    def receive(self, parts: Sequence[memoryview]) -> Answer | None:
        """The answer when `parts` are the reply to this request, None when to another; raises a refusal."""
        if parts and len(parts[0]) == 0:
            parts = parts[1:]
        messages.check_parts(parts)
        if not parts:
            raise ProtocolError("an empty message on the control socket")
        reply = pb.Reply()
        messages.parse(reply, parts[0])
        if reply.id != self.id:
            if not reply.id and not reply.session:
                raise NotStemwire("the answer is not that of a Stemwire server's control socket")
            return None
        kind = reply.WhichOneof("kind")
        if kind == "failure":
            raise refusal(reply.failure.code, reply.failure.message, reply.failure.detector_code)
        if kind is None:
            raise ProtocolError(f"the answer to {self.kind} is empty, or of a kind that this version does not know")
        return Answer(reply, parts[1:])
