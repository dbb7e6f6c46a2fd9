"""Waits for sockets: the one thing in which the blocking and the asyncio faces differ."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import zmq
import zmq.asyncio

Value = TypeVar("Value")
_LONGEST_WAIT = 3600.0
_LONGEST_SLICE = 0.5
"""So that Ctrl-C is noticed everywhere, also where a signal does not end the wait."""


AnySocket: TypeAlias = "zmq.Socket[bytes]"


class Gate(Protocol):
    """Waits for always the same sockets."""

    async def wait(self, until: float) -> Collection[AnySocket]:
        """Until one can be received from, or the monotonic clock passes `until`; which ones can."""


class Waiter(Protocol):
    def gate(self, sockets: Sequence[AnySocket]) -> Gate: ...

    async def reach(self, host: str, port: int, seconds: float) -> None:
        """Connects and disconnects by TCP, for the operating system's word on why that is not possible."""

    async def sleep(self, seconds: float) -> None: ...


class BlockingGate:
    def __init__(self, sockets: Sequence[AnySocket]) -> None:
        self._poller = zmq.Poller()
        for each in sockets:
            self._poller.register(each, zmq.POLLIN)

    async def wait(self, until: float) -> Collection[AnySocket]:
        while True:
            left = until - time.monotonic()
            ready = self._poller.poll(max(0, int(min(left, _LONGEST_SLICE) * 1000) + 1))
            if ready or left <= _LONGEST_SLICE:
                return [each for each, _ in ready]


class BlockingWaiter:
    """Blocks the thread; coroutines over it never suspend, see `run`."""

    def gate(self, sockets: Sequence[AnySocket]) -> Gate:
        return BlockingGate(sockets)

    async def reach(self, host: str, port: int, seconds: float) -> None:
        socket.create_connection((host, port), timeout=max(seconds, 0.001)).close()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class AsyncGate:
    def __init__(self, sockets: Sequence[AnySocket]) -> None:
        self._poller = zmq.asyncio.Poller()
        for each in sockets:
            self._poller.register(each, zmq.POLLIN)

    async def wait(self, until: float) -> Collection[AnySocket]:
        left = min(until - time.monotonic(), _LONGEST_WAIT)
        ready = await self._poller.poll(max(0, int(left * 1000) + 1))
        return [each for each, _ in ready]


class AsyncWaiter:
    """Waits in the running event loop."""

    def gate(self, sockets: Sequence[AnySocket]) -> Gate:
        return AsyncGate(sockets)

    async def reach(self, host: str, port: int, seconds: float) -> None:
        opening = asyncio.open_connection(host, port)
        try:
            _, writer = await asyncio.wait_for(opening, max(seconds, 0.001))
        except asyncio.TimeoutError as error:
            raise TimeoutError from error
        writer.close()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Runs a coroutine over a `BlockingWaiter` to its end."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        value: Value = finished.value
        return value
    coroutine.close()
    raise RuntimeError("a blocking call suspended")
