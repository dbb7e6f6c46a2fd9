"""Requests to the control socket: any number at once, each with its deadline."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import zmq
from google.protobuf.message import Message

from .._core.addresses import Address
from .._core.control import Answer, Exchange
from ..errors import ConnectionClosed, DeadlineExceeded, NotStemwire, ProtocolError, ServerLost, StemwireError
from .lanes import Lane, now
from .waiting import Waiter

_FIRST_REPEAT_SECONDS = 1.0
_IDLE_LANES = 4
_QUEUE = 64
_LINGER_MS = 200


@dataclass
class ControlLanes:
    """Each request in flight has a socket of its own, so that threads and tasks do not meet; idle ones are kept."""

    context: zmq.Context[zmq.Socket[bytes]]
    address: Address
    waiter: Waiter

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Lane] = []
        self._closed = False
        self.session = b""
        """Of the server process; one that differs is a restarted server."""

    async def request(self, kind: str, body: Message, timeout: float, payload: Sequence[bytes] = ()) -> Answer:
        exchange = Exchange(kind, body, timeout, payload)
        started = now()
        deadline = started + timeout
        lane = self._take()
        try:
            answer = await self._exchange(lane, exchange, started, deadline)
        except StemwireError as error:
            if isinstance(error, (ServerLost, NotStemwire, ProtocolError, DeadlineExceeded)):
                lane.close()
            else:
                self._give(lane)
            raise
        except BaseException:
            lane.close()
            raise
        self._give(lane)
        if self.session and answer.reply.session != self.session:
            raise ServerLost(f"the server at {self.address} was restarted: connect again")
        return answer

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for lane in idle:
            lane.close()

    async def _exchange(self, lane: Lane, exchange: Exchange, started: float, deadline: float) -> Answer:
        repeat = _FIRST_REPEAT_SECONDS
        lane.send_parts([exchange.bytes, *exchange.payload])
        repeat_at = started + repeat
        reconnects = lane.reconnects
        gate = self.waiter.gate(lane.sockets)
        while True:
            while (parts := lane.receive()) is not None:
                answer = exchange.receive(parts)
                if answer is not None:
                    return answer
            time = now()
            lane.check(time)
            if time >= deadline:
                raise DeadlineExceeded(self._silence(lane, exchange, deadline - started))
            if time >= repeat_at or lane.reconnects > reconnects:
                reconnects = lane.reconnects
                repeat *= 2
                repeat_at = time + repeat
                lane.send_parts([exchange.bytes, *exchange.payload])
            await gate.wait(min(deadline, repeat_at, lane.next_time))

    def _silence(self, lane: Lane, exchange: Exchange, seconds: float) -> str:
        what = f"no answer to {exchange.kind} from {self.address} within {seconds:g} s"
        if lane.connected:
            return f"{what}: the peer is there and silent"
        return f"{what}: there is no connection"

    def _take(self) -> Lane:
        with self._lock:
            if self._closed:
                raise ConnectionClosed("the connection is closed")
            if self._idle:
                return self._idle.pop()
        return Lane(self.context, zmq.DEALER, self.address.endpoint(), receive_limit=_QUEUE, linger_ms=_LINGER_MS)

    def _give(self, lane: Lane) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _IDLE_LANES:
                self._idle.append(lane)
                return
        lane.close()
