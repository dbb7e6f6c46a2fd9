"""ZeroMQ sockets with the state of their connection."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

import zmq
from zmq.utils.monitor import parse_monitor_message

from .._core.limits import PAYLOAD_BYTES
from .._core.tokens import Token
from ..errors import AccessDenied, DeadlineExceeded, NotStemwire, ServerLost
from .waiting import Waiter

_HEARTBEAT_MS = 1000
_HEARTBEAT_TIMEOUT_MS = 5000
_RECONNECT_MS = 100
_HANDSHAKE_MS = 900
_GRACE_SECONDS = 0.7
"""A cut connection that is not back by then is a lost server."""

_FAILED_HANDSHAKES = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_EVENTS = zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED | _FAILED_HANDSHAKES


class Lane:
    """A connected socket. `reconnects` counts how often its connection came back."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: int,
        endpoint: str,
        *,
        receive_limit: int,
        linger_ms: int = 0,
        send_limit: int | None = None,
        topics: Iterable[bytes] = (),
    ) -> None:
        self.endpoint = endpoint
        self.reconnects = 0
        self.connected = False
        self._refused_handshake: zmq.Event | None = None
        self._cut_at: float | None = None
        self.socket: zmq.Socket[bytes] = context.socket(kind)
        self.socket.set(zmq.LINGER, linger_ms)
        self.socket.set(zmq.RCVHWM, receive_limit)
        if send_limit is not None:
            self.socket.set(zmq.SNDHWM, send_limit)
        self.socket.set(zmq.MAXMSGSIZE, PAYLOAD_BYTES)
        self.socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        self.socket.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        self.socket.set(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self.socket.set(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        self.socket.set(zmq.IPV6, 1)
        self._monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket(_EVENTS)
        for topic in topics:
            self.socket.subscribe(topic)
        self.socket.connect(endpoint)

    @property
    def sockets(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        """To wait for: messages, and news of the connection."""
        return self.socket, self._monitor

    async def established(self, waiter: Waiter, timeout: float) -> None:
        """Waits for the handshake, behind which a subscription is on its way."""
        deadline = now() + timeout
        gate = waiter.gate((self._monitor,))
        while True:
            self.check(now())
            if self.connected:
                return
            if now() >= deadline:
                raise DeadlineExceeded(f"no connection to {self.endpoint} within {timeout:g} s")
            await gate.wait(min(deadline, self.next_time))

    def receive(self) -> list[memoryview] | None:
        """The parts of a message, each the memory of its ZeroMQ message; None when there is none."""
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return [frame.buffer for frame in frames]

    def send(self, message: bytes) -> bool:
        """False when the queue is full, which it only is when nobody takes what is in it."""
        try:
            self.socket.send(message, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def send_parts(self, parts: Sequence[Any]) -> bool:
        """The parts of a message; large ones are read where they lie, so they must not change any more."""
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True

    def check_after(self, ready: Collection[zmq.Socket[bytes]], now: float) -> None:
        """`check` after a wait, when there is reason to."""
        if self._cut_at is not None or self._monitor in ready:
            self.check(now)

    def check(self, now: float) -> None:
        """Takes in the news of the connection. Raises `NotStemwire` or `ServerLost` when it cannot go on."""
        while True:
            try:
                news = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                break
            self._happened(zmq.Event(news["event"]), now)
        if self._refused_handshake is not None and not self.connected and not self.reconnects:
            self._refuse()
        if self._cut_at is not None and now - self._cut_at > _GRACE_SECONDS:
            raise ServerLost(
                f"the server at {self.endpoint} has closed the connection and does not come back: "
                "it was ended or killed, or the network is down"
            )

    @property
    def next_time(self) -> float:
        """When `check` may have something to tell without news."""
        return float("inf") if self._cut_at is None else self._cut_at + _GRACE_SECONDS + 0.001

    def close(self) -> None:
        if not self.socket.closed:
            self.socket.disable_monitor()
            self._monitor.close(0)
            self.socket.close()

    def _happened(self, event: zmq.Event, now: float) -> None:
        if event == zmq.Event.HANDSHAKE_SUCCEEDED:
            if self._cut_at is not None:
                self.reconnects += 1
            self.connected = True
            self._cut_at = None
        elif event == zmq.Event.DISCONNECTED:
            if self.connected or self._cut_at is None:
                self._cut_at = now
            self.connected = False
        else:
            self._refused_handshake = event

    def _refuse(self) -> NoReturn:
        has_keys = self.socket.get(zmq.MECHANISM) == zmq.CURVE
        if self._refused_handshake == zmq.Event.HANDSHAKE_FAILED_AUTH:
            raise AccessDenied(
                f"{self.endpoint} does not let this client in: its key was never enrolled there, or has been revoked"
            )
        if has_keys:
            raise AccessDenied(
                f"{self.endpoint} does not speak with the keys of this token: it is another server's, the server "
                "has new keys or as many connections as it may, or it asks for none"
            )
        raise NotStemwire(
            f"{self.endpoint} answers, but not as a Stemwire server's socket; is it the right port? A server that "
            "asks for keys needs a token, which `stemwire enrol` makes there"
        )


def open_context(token: Token | None = None) -> zmq.Context[zmq.Socket[bytes]]:
    """With a token, all its sockets speak CURVE. Raises `RuntimeError` for a libzmq that hostile peers can break."""
    if zmq.zmq_version_info() < (4, 3, 3):
        raise RuntimeError(f"libzmq {zmq.zmq_version()} is too old: 4.3.3 or newer is needed; update pyzmq")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    if token is not None:
        if not zmq.has("curve"):
            raise RuntimeError("this libzmq cannot speak CURVE: install pyzmq from its wheels")
        token.apply(context)
    return context


def now() -> float:
    return time.monotonic()
