"""A worker: its connection, on the thread that runs it, and a thread that computes."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import zmq

from .._core import messages
from .._core.addresses import Address
from .._core.tokens import Token
from .._core.worker_actions import (
    Action,
    Begin,
    Close,
    Connect,
    Drop,
    End,
    Ending,
    Forget,
    Map,
    Merge,
    Payload,
    Prepare,
    Send,
    Take,
    Tell,
)
from .._core.working import WorkerSession
from .._io.client import TokenLike
from .._io.lanes import Lane, now, open_context
from .._wire import stemwire_pb2 as pb
from ..errors import AccessDenied, NotStemwire, ProtocolError, ServerLost, StemwireError
from .compute import ComputeThread, FailedReport, FinishedReport, GoneReport, MergedReport, PlannedReport, Report
from .memory import FrameMemory
from .offers import Offer, built_in_offers, check_names

DEFAULT_WORK_PORT = 7402
_DEFAULT_MEMORY = 256 << 20
_RECEIVE_QUEUE = 4096
_LINGER_MS = 500
_LONGEST_WAIT = 1.0
_MESSAGES_AT_ONCE = 64
_IPC = "ipc://"


@dataclass
class Settings:
    """Of a worker; the defaults are meant to be right."""

    connect: str = f"tcp://127.0.0.1:{DEFAULT_WORK_PORT}"
    """The server's work socket; or ipc://PATH."""
    name: str = ""
    """For people, in the server's status and log."""
    threads: int = 1
    """What LiberTEM's UDFs may use for one partition."""
    memory: int = _DEFAULT_MEMORY
    """Bytes of frames that the server may have sent and that are not worked on yet."""
    items: int = 3
    """Partitions that it holds: one to work on, one that fills meanwhile, one to spare."""
    connect_timeout: float | None = None
    """Seconds for which there may be no server, at first and after each loss; None: for ever."""
    token: TokenLike | None = None
    """For servers that ask for keys: a token of the role worker, or a file with it; None: what STEMWIRE_TOKEN holds."""
    verify: bool | None = None
    """Whether frames are compared with their checksums; None: unless the server is on this machine."""
    reads_memory: bool = True
    """Whether frames are read where the server has them, if that is on this machine and of the same user."""


@dataclass
class Counts:
    partitions: int = 0
    frames: int = 0
    failures: int = 0
    malformed: int = 0


class WorkerUnreachable(StemwireError, ConnectionError):
    """There was no server for longer than the connect timeout."""


class WorkerRefused(StemwireError):
    """The server will never take this worker."""


class Worker:
    """Runs UDFs for an acquisition server until it is told to leave.

    >>> Worker(Settings("tcp://merlin-server:7402"), [Offer.of(Brightest)]).run()

    The server sends it partitions of scans as frames arrive, as many as it has room for, and merges what comes back.
    Workers come and go: what one leaves undone others do, and the results have the same bits whoever made them. A
    broken connection is made anew, for ever unless there is a connect timeout; results that the server has not
    acknowledged are sent again.
    """

    def __init__(
        self,
        settings: Settings,
        offers: Sequence[Offer],
        tell: Callable[[dict[str, object]], None] = lambda event: None,
    ) -> None:
        """`tell` is called with what happens, on the thread of `run`."""
        self._settings = settings
        self._tell = tell
        self._is_local, self._endpoint = _endpoint(settings.connect)
        self._verified = not self._is_local if settings.verify is None else settings.verify
        self._token = Token.find(settings.token)
        own = check_names(offers)
        self._offers = {**{each.name: each for each in built_in_offers() if each.name not in own}, **own}
        self.name = settings.name or f"{socket.gethostname()}/{os.getpid()}"
        self.counts = Counts()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._poller = self._make_poller(None)
        self._leave_within: float | None = None
        self._ending: End | None = None
        self._lane: Lane | None = None
        self._formats = messages.FormatCache()
        self._memory: FrameMemory | None = None
        self._runs: dict[int, str] = {}
        self._session = WorkerSession(
            client=self.name,
            client_id=uuid.uuid4().bytes,
            offer=pb.WorkerOffer(
                udfs=[pb.UdfOffer(name=each.name, version=each.version) for each in self._offers.values()],
                threads=1,
                memory_bytes=settings.memory,
                host=socket.gethostname(),
                process=os.getpid(),
                reads_memory=settings.reads_memory and self._is_local,
            ),
            items=settings.items,
            memory=settings.memory,
            connect_timeout=settings.connect_timeout,
        )

    def leave(self, patience: float = 10.0) -> None:
        """Takes no more work, finishes the partitions whose frames are all here, and goes; `run` returns then.

        May be called from any thread and from signal handlers. What is not done within `patience` seconds others do.
        """
        self._leave_within = patience if self._leave_within is None else min(patience, self._leave_within)
        self._wake()

    def run(self) -> None:
        """Works until `leave`. To be called once.

        Raises `WorkerUnreachable` when there is no server for longer than the connect timeout, `WorkerRefused` when
        it will never take this worker.
        """
        self._context = open_context(self._token)
        self._compute = ComputeThread(self._offers, self._settings.threads, self._wake)
        try:
            self._session.start(now())
            self._perform(())
            while self._ending is None:
                self._turn()
        finally:
            if self._lane is not None:
                self._lane.close()
            self._context.destroy(linger=_LINGER_MS)
            has_ended = self._compute.stop(patience=0 if self._ending is None or self._ending.unfinished else 5.0)
            os.close(self._wake_in)
            # A computation that nobody waits for may still tell; the end that it writes to stays.
            if has_ended:
                os.close(self._wake_out)
        end = self._ending
        if end.ending is Ending.REFUSED:
            raise WorkerRefused(f"the server at {self._endpoint} does not take this worker: {end.why}")
        if end.ending is Ending.UNREACHABLE:
            raise WorkerUnreachable(
                f"no server at {self._endpoint} for {self._settings.connect_timeout:g} s: {self._reason(end.why)}. "
                f"Check that "
                "`stemwire serve` runs there, the host name, the work port (default 7402), and that the server was "
                "bound to "
                "an address that can be reached from here (--bind)"
            )

    # One turn: what the connection, the computing thread and the clock have to tell

    def _turn(self) -> None:
        lane = self._lane
        wait = max(0.0, min(self._session.next_time - now(), _LONGEST_WAIT))
        ready = dict(self._poller.poll(int(wait * 1000) + 1))
        if self._wake_in in ready:
            self._drain()
        if self._leave_within is not None:
            self._session.leave(self._leave_within, now())
            self._leave_within = None
            self._perform(())
        for report in self._compute.reports():
            self._take(report)
        # Messages before the news of the connection's end.
        if self._lane is lane and lane is not None:
            self._receive(lane)
            self._check(lane, ready)
        self._session.tick(now())
        self._perform(())

    def _receive(self, lane: Lane) -> None:
        for _ in range(_MESSAGES_AT_ONCE):
            if self._lane is not lane:
                return
            parts = lane.receive()
            if parts is None:
                return
            message = pb.WorkMessage()
            try:
                messages.check_parts(parts)
                messages.parse(message, parts[0])
            except (ProtocolError, IndexError):
                self.counts.malformed += 1
                continue
            payloads = parts[1:]
            self._session.receive(message, [len(each) for each in payloads], now())
            self._perform(payloads)

    def _check(self, lane: Lane, ready: Collection[zmq.Socket[bytes]]) -> None:
        was_connected = lane.connected
        try:
            lane.check_after(ready, now())
        except (NotStemwire, AccessDenied) as error:
            self._session.not_understood(str(error), now())
            return
        except ServerLost:
            self._session.disconnected(now())
            return
        if lane.connected and not was_connected:
            self._session.connected(now())
        elif was_connected and not lane.connected:
            # A new connection is a new socket, so that nothing of the old one can arrive on it.
            self._session.disconnected(now())

    def _take(self, report: Report) -> None:
        if isinstance(report, PlannedReport):
            names = [each.id for each in report.answer.udfs]
            failure = report.answer.failure or None
            run = self._runs.get(report.plan, "")
            self._tell({"event": "planned", "run": run, "udfs": names, "failure": failure})
            self._session.planned(report.plan, report.answer, report.is_fault_of_udf)
        elif isinstance(report, FinishedReport):
            self.counts.partitions += 1
            self.counts.frames += report.result.frames
            self._session.finished(report.item, report.result, report.payload)
        elif isinstance(report, FailedReport):
            self.counts.failures += 1
            self._tell({"event": "failed", "reason": f"{report.udf}: {report.why}" if report.udf else report.why})
            self._session.failed(report.item, report.udf, report.why, report.is_udf)
        elif isinstance(report, GoneReport):
            self._session.gone(report.item)
        elif isinstance(report, MergedReport):
            self._session.merged(report.task, report.done, report.payload)
        self._perform(())

    # What the session wants

    def _perform(self, payloads: Sequence[memoryview]) -> None:
        while actions := self._session.take_actions():
            for action in actions:
                self._act(action, payloads)

    def _act(self, action: Action, payloads: Sequence[memoryview]) -> None:
        if isinstance(action, Send):
            self._send(action.message, action.payload)
        elif isinstance(action, Take):
            self._take_frames(action, payloads)
        elif isinstance(action, Begin):
            self._compute.begin(action.item, action.partition, action.plan)
        elif isinstance(action, Close):
            self._compute.close(action.item)
        elif isinstance(action, Drop):
            self._compute.drop(action.item)
        elif isinstance(action, Prepare):
            self._runs[action.plan] = action.message.run
            self._compute.prepare(action.plan, action.message, payloads)
        elif isinstance(action, Forget):
            self._runs.pop(action.plan, None)
            self._compute.forget(action.plan, action.is_over)
        elif isinstance(action, Merge):
            self._compute.merge(action.task, action.plan, action.message, payloads)
        elif isinstance(action, Map):
            self._map(action.memory)
        elif isinstance(action, Connect):
            self._connect()
        elif isinstance(action, Tell):
            self._tell_connection(action)
        elif isinstance(action, End):
            self._end(action)

    def _take_frames(self, action: Take, payloads: Sequence[memoryview]) -> None:
        try:
            if self._memory is not None and action.places:
                tiles = self._memory.tiles(action.tile, action.places, self._formats)
            else:
                tiles = [messages.tile(action.tile, payloads, self._verified, self._formats, fetched=True)]
        except StemwireError as error:
            self._session.failed(action.item, "", str(error), False)
            return
        self._compute.take(action.item, tiles)

    def _map(self, memory: pb.FrameMemory) -> None:
        try:
            self._memory = FrameMemory(memory)
        except (OSError, ValueError, ProtocolError):
            # Another user's, or in another container: frames are sent.
            return
        self._session.mapped()

    def _connect(self) -> None:
        if self._lane is not None:
            self._lane.close()
        self._memory = None
        self._lane = Lane(
            self._context, zmq.DEALER, self._endpoint, receive_limit=_RECEIVE_QUEUE, linger_ms=_LINGER_MS, send_limit=0
        )
        self._poller = self._make_poller(self._lane)

    def _make_poller(self, lane: Lane | None) -> zmq.Poller:
        poller = zmq.Poller()
        poller.register(self._wake_in, zmq.POLLIN)
        for each in lane.sockets if lane is not None else ():
            poller.register(each, zmq.POLLIN)
        return poller

    def _send(self, message: pb.WorkMessage, payload: Payload) -> None:
        if self._lane is not None:
            self._lane.send_parts([message.SerializeToString(), *payload])

    def _tell_connection(self, action: Tell) -> None:
        if action.event == "connected":
            told = {"session": action.text, "epoch": self._session.epoch, "endpoint": self._endpoint, "name": self.name}
            self._tell({"event": "connected", **told, "threads": 1, "reads_memory": self._memory is not None})
        else:
            self._tell({"event": action.event, "reason": action.text})

    def _end(self, end: End) -> None:
        self._ending = end
        if end.ending is Ending.LEFT:
            counts = self.counts
            done = {"partitions": counts.partitions, "frames": counts.frames, "failed": counts.failures}
            self._tell({"event": "left", **done, "unfinished": end.unfinished})

    # Details

    def _wake(self) -> None:
        # When it is full, there are wake-ups enough.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._wake_out, b"\0")

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wake_in, 4096):
                pass

    def _reason(self, why: str) -> str:
        """The operating system's word where ZeroMQ has none."""
        if self._endpoint.startswith(_IPC):
            return why
        address = Address.parse(self._endpoint)
        try:
            socket.create_connection((address.host, address.port), timeout=1.0).close()
        except OSError as error:
            return error.strerror or str(error) or why
        return why


def _endpoint(text: str) -> tuple[bool, str]:
    """Whether it is on this machine, and the ZeroMQ endpoint."""
    if text.startswith(_IPC):
        return True, text
    address = Address.parse(text, DEFAULT_WORK_PORT)
    return address.is_loopback, address.endpoint()
