"""Wrong peers, lost servers, silent ones: a clear error, in time."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
import zmq

import stemwire
from stemwire._wire import stemwire_pb2 as pb

from .conftest import Serve


@contextmanager
def peer(kind: int, answer: Callable[[list[bytes]], list[bytes] | None] | None = None) -> Iterator[int]:
    """A ZeroMQ peer that is no server; gives its port."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    bound = context.socket(kind)
    port = bound.bind_to_random_port("tcp://127.0.0.1")
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            if kind != zmq.PUB and bound.poll(20):
                parts = answer(bound.recv_multipart()) if answer else None
                if parts is not None:
                    bound.send_multipart(parts)
            else:
                ended.wait(0.02)
        bound.close(0)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield port
    finally:
        ended.set()
        thread.join()
        context.term()


GRACE = 0.7
"""For how long a lost server may come back."""


class Delays:
    """How long this machine kept the process waiting for a processor: a thread that ought to wake every few
    milliseconds, and does not."""

    _BEAT = 0.005
    _NORMAL = 0.012
    """A beat, and what another thread of this interpreter may hold it up."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(self._BEAT):
            now = time.monotonic()
            self.seconds += max(0.0, now - last - self._NORMAL)
            last = now
        self.seconds += max(0.0, time.monotonic() - last - self._NORMAL)

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self.seconds


@contextmanager
def within(deadline: float) -> Iterator[None]:
    """The block takes its deadline and 100 ms at most, and what the machine adds: once here, once in a peer."""
    delays = Delays()
    started = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - started
        delayed = delays.stop()
    assert took - 2 * delayed < deadline + 0.1, f"{took:.3f} s, of which the machine took {delayed:.3f}"


def test_nobody_listens() -> None:
    with within(0), pytest.raises(stemwire.ServerUnreachable, match="nobody listens"):
        stemwire.connect("tcp://127.0.0.1:1")
    with within(1), pytest.raises(stemwire.ServerUnreachable, match="cannot reach"):
        stemwire.connect("tcp://no-such-host.invalid", timeout=1)
    with within(0.5), pytest.raises(stemwire.ServerUnreachable, match="nobody listens"):
        stemwire.connect("tcp://127.0.0.1:1", timeout=0.5, wait=True)


def test_waiting_for_a_server_that_starts() -> None:
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]

        def listen() -> None:
            time.sleep(0.3)
            reserved.listen()

        thread = threading.Thread(target=listen)
        thread.start()
        with pytest.raises(stemwire.NotStemwire):
            stemwire.connect(f"127.0.0.1:{port}", timeout=1, wait=True)
        thread.join()


def test_a_peer_that_says_nothing() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        # The handshake of ZeroMQ has a limit of its own.
        with within(1.1), pytest.raises(stemwire.NotStemwire, match="right port"):
            stemwire.connect(address)


def test_a_web_server() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as web:

        def answer() -> None:
            for _ in range(2):
                connection, _ = web.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        # The connection may be cut before the answer is read: then the second one tells.
        with within(0.2), pytest.raises(stemwire.NotStemwire):
            stemwire.connect(f"127.0.0.1:{web.getsockname()[1]}")


@pytest.mark.parametrize("kind", [zmq.PUB, zmq.ROUTER, zmq.REP])
def test_a_zeromq_peer_that_is_no_server(kind: int) -> None:
    with peer(kind) as port, within(0.8), pytest.raises(stemwire.NotStemwire):
        stemwire.connect(f"127.0.0.1:{port}", timeout=0.8)


def test_the_other_ports_of_a_server(serve: Serve) -> None:
    program = serve("synthetic")
    for name in ("live_port", "work_port"):
        with within(GRACE), pytest.raises(stemwire.NotStemwire, match=r"right port|control"):
            stemwire.connect(f"127.0.0.1:{program.ports[name]}")


def reply(request: bytes, **fields: object) -> bytes:
    return pb.Reply(id=pb.Request.FromString(request).id, session=b"s", **fields).SerializeToString()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda _: b"\xff garbage", stemwire.NotStemwire),
        (lambda _: b"", stemwire.NotStemwire),
        (reply, stemwire.NotStemwire),
        (lambda request: reply(request, done=pb.Done()), stemwire.NotStemwire),
        (lambda request: reply(request, welcome=pb.Welcome(version=2)), stemwire.VersionMismatch),
        (
            lambda request: reply(request, failure=pb.Failure(code="unsupportedVersion", message="only 2")),
            stemwire.VersionMismatch,
        ),
        (lambda request: reply(request, failure=pb.Failure(code="new", message="new")), stemwire.RequestRefused),
    ],
)
def test_answers_that_are_none(make: Callable[[bytes], bytes], error: type[Exception]) -> None:
    def answer(parts: list[bytes]) -> list[bytes]:
        return [parts[0], make(parts[1])]

    with peer(zmq.ROUTER, answer) as port, within(0), pytest.raises(error):
        stemwire.connect(f"127.0.0.1:{port}", timeout=1)


def test_a_lost_answer_is_asked_for_again_under_the_same_id() -> None:
    ids: list[str] = []
    counts = {"hello": 0, "trigger": 0}

    def answer(parts: list[bytes]) -> list[bytes] | None:
        request = pb.Request.FromString(parts[1])
        kind = request.WhichOneof("kind") or ""
        counts[kind] += 1
        if kind == "hello":
            return [parts[0], reply(parts[1], welcome=pb.Welcome(version=1))]
        ids.append(request.id)
        return None if counts[kind] < 2 else [parts[0], reply(parts[1], done=pb.Done(frames_placed=7))]

    with peer(zmq.ROUTER, answer) as port, stemwire.connect(f"127.0.0.1:{port}") as connection:
        assert connection.trigger(timeout=3).frames_placed == 7
        assert len(ids) == 2
        assert len(set(ids)) == 1


def test_a_request_that_is_not_answered_does_not_wedge() -> None:
    def answer(parts: list[bytes]) -> list[bytes] | None:
        kind = pb.Request.FromString(parts[1]).WhichOneof("kind")
        if kind == "hello":
            return [parts[0], reply(parts[1], welcome=pb.Welcome(version=1))]
        return [parts[0], reply(parts[1], status=pb.Status(state="idle"))] if kind == "status" else None

    with peer(zmq.ROUTER, answer) as port, stemwire.connect(f"127.0.0.1:{port}") as connection:
        for _ in range(3):
            with within(0.2), pytest.raises(stemwire.DeadlineExceeded, match="silent"):
                connection.trigger(timeout=0.2)
            assert connection.status().state == "idle"


@pytest.mark.parametrize("what", ["tiles", "updates", "fetch", "status"])
def test_a_server_that_is_killed(serve: Serve, what: str) -> None:
    program = serve("synthetic", "--nav-shape", "64", "64")
    with stemwire.connect(program.address) as connection:
        iterator = {"tiles": connection.tiles, "updates": connection.updates}.get(what, connection.tiles)()
        connection.arm(trigger="soft")
        connection.trigger()
        next(iterator)
        if what == "fetch":
            # More than the credit of the first moment.
            while (running := connection.status().acquisition) is not None and running.accounting.placed < 1000:
                time.sleep(0.02)
            iterator = connection.fetch()
            next(iterator)
        program.process.kill()
        with within(GRACE), pytest.raises(stemwire.ServerLost, match="does not come back"):
            if what == "status":
                connection.status()
            else:
                list(iterator)


def test_a_server_that_hangs(serve: Serve) -> None:
    program = serve("synthetic")
    with stemwire.connect(program.address) as connection:
        program.process.send_signal(signal.SIGSTOP)
        try:
            with within(0.3), pytest.raises(stemwire.DeadlineExceeded, match="silent"):
                # The signal takes a moment.
                while True:
                    connection.status(timeout=0.3)
        finally:
            program.process.send_signal(signal.SIGCONT)
        assert connection.status().state == "idle"


def test_a_server_that_was_restarted(serve: Serve) -> None:
    program = serve("synthetic")
    with stemwire.connect(program.address) as connection:
        program.stop()
        control, live, work = (str(program.ports[name]) for name in ("control_port", "live_port", "work_port"))
        serve("synthetic", "--control-port", control, "--live-port", live, "--work-port", work)
        with pytest.raises(stemwire.ServerLost):
            connection.status()


def test_nothing_begins(serve: Serve) -> None:
    program = serve("synthetic")
    with stemwire.connect(program.address) as connection:
        with within(0.3), pytest.raises(stemwire.DeadlineExceeded, match="no acquisition began"):
            next(connection.tiles(timeout=0.3))
        with within(0.3), pytest.raises(stemwire.DeadlineExceeded, match="no acquisition began"):
            next(connection.updates(timeout=0.3))


def test_cancelling_an_asyncio_wait(serve: Serve) -> None:
    program = serve("synthetic")

    async def main() -> None:
        async with await stemwire.aio.connect(program.address) as connection:
            tiles = await connection.tiles()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(tiles.__anext__(), 0.2)
            with pytest.raises(stemwire.ConnectionClosed):
                await tiles.__anext__()
            assert (await connection.status()).state == "idle"

    asyncio.run(main())
