"""Everything that a connection does, as coroutines over a `Waiter`; the blocking and the asyncio faces only call it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import zmq
from google.protobuf.message import Message

from .. import _version
from .._core import messages
from .._core.addresses import Address
from .._core.control import Answer
from .._core.limits import LONGEST_WINDOW, VERSION
from .._core.messages import SnapshotState
from .._core.tokens import Token
from .._wire import stemwire_pb2 as pb
from ..errors import (
    ConnectionClosed,
    DeadlineExceeded,
    NotStemwire,
    ProtocolError,
    ServerLost,
    ServerUnreachable,
    VersionMismatch,
)
from ..inputs import Inputs
from ..reports import Margins
from ..status import Directory, Done, RunStatus, Status
from ..udfs import UDF
from .controlling import ControlLanes
from .lanes import now, open_context
from .waiting import Waiter

TokenLike: TypeAlias = "Token | str | os.PathLike[str]"
"""A token, its text, or the file that holds it."""

_PROBE_EVERY_SECONDS = 0.2


class Client:
    """A connection to a server: its address, its control sockets, and what HELLO told."""

    def __init__(
        self, address: str, waiter: Waiter, timeout: float, verify: bool | None, token: TokenLike | None = None
    ) -> None:
        self.address = Address.parse(address)
        self.waiter = waiter
        self.timeout = timeout
        self.verified = not self.address.is_loopback if verify is None else verify
        self.name = f"stemwire-python {_version.__version__} pid {os.getpid()}"
        self.context: zmq.Context[zmq.Socket[bytes]] = open_context(Token.find(token))
        self.control = ControlLanes(self.context, self.address, waiter)
        self.directory = Directory("", 0, 0, 0, (), ())
        self.server = ""
        self.closed = False

    async def open(self, wait: bool) -> None:
        deadline = now() + self.timeout
        try:
            await self._probe(deadline, wait)
            hello = pb.Hello(version_min=VERSION, version_max=VERSION, client=self.name)
            left = max(0.001, deadline - now())
            try:
                answer = await self.control.request("hello", hello, left)
            except DeadlineExceeded:
                raise NotStemwire(
                    f"{self.address} accepts connections and does not answer as a Stemwire server within "
                    f"{self.timeout:g} s: is it the control port?"
                ) from None
            except ServerLost:
                raise NotStemwire(
                    f"{self.address} closes the connection instead of answering: is it the control port of a "
                    "Stemwire server?"
                ) from None
            except ProtocolError as error:
                raise NotStemwire(
                    f"{self.address} does not answer as the control socket of a Stemwire server ({error}): "
                    "is it the control port?"
                ) from None
            welcome = answer.reply.welcome
            if answer.reply.WhichOneof("kind") != "welcome":
                raise NotStemwire(f"{self.address} does not answer a greeting as a Stemwire server does")
            if welcome.version != VERSION:
                raise VersionMismatch(
                    f"the server at {self.address} speaks version {welcome.version} of the protocol, "
                    f"this client {VERSION}"
                )
            self.control.session = answer.reply.session
            self.directory = messages.directory(welcome.directory)
            self.server = welcome.server
        except BaseException:
            self.close()
            raise

    async def _probe(self, deadline: float, wait: bool) -> None:
        """Asks the operating system first: ZeroMQ itself does not tell why a connection does not come about."""
        while True:
            reason = ""
            try:
                await self.waiter.reach(self.address.host, self.address.port, deadline - now())
                return
            except TimeoutError:
                reason = f"no answer within {self.timeout:g} s: wrong address, or a firewall between"
            except ConnectionRefusedError:
                reason = "nobody listens there: is the server started, and is the port right?"
            except OSError as error:
                reason = error.strerror or str(error)
            if not wait or now() + _PROBE_EVERY_SECONDS >= deadline:
                raise ServerUnreachable(f"cannot reach a Stemwire server at {self.address}: {reason}")
            await self.waiter.sleep(_PROBE_EVERY_SECONDS)

    def close(self) -> None:
        """Ends everything; iterators that are still open end with it. May be called twice."""
        self.closed = True
        self.control.close()
        self.context.destroy(linger=0)

    # Requests

    async def request(
        self, kind: str, body: Message, timeout: float | None = None, payload: Sequence[bytes] = ()
    ) -> Answer:
        if self.closed:
            raise ConnectionClosed(f"the connection to {self.address} is closed")
        return await self.control.request(kind, body, self.timeout if timeout is None else timeout, payload)

    async def status(self, timeout: float | None = None) -> Status:
        return messages.status((await self.request("status", pb.StatusRequest(), timeout)).reply.status)

    async def ask_directory(self, timeout: float | None = None) -> Directory:
        return messages.directory((await self.request("directory", pb.DirectoryRequest(), timeout)).reply.directory)

    async def snapshot(
        self,
        run: str = "",
        udf: str = "",
        channel: str = "",
        acquisition: uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> SnapshotState:
        identifier = b"" if acquisition is None else acquisition.bytes
        body = pb.SnapshotRequest(run=run, udf=udf, channel=channel, acquisition=identifier)
        answer = await self.request("snapshot", body, timeout)
        return messages.snapshot(answer.reply.snapshot, answer.payloads, self.verified)

    async def get(self, name: str, timeout: float | None = None) -> str:
        answer = await self.request("detector", pb.DetectorRequest(get=name), timeout)
        return answer.reply.detector.value

    async def set(self, name: str, value: object, timeout: float | None = None) -> None:
        setting = pb.DetectorSet(name=name, value=_parameter(value))
        await self.request("detector", pb.DetectorRequest(set=setting), timeout)

    async def cmd(self, name: str, timeout: float | None = None) -> None:
        await self.request("detector", pb.DetectorRequest(cmd=name), timeout)

    async def arm(self, body: pb.ArmRequest, timeout: float | None = None) -> Done:
        return await self._done("arm", body, timeout)

    async def trigger(self, timeout: float | None = None) -> Done:
        return await self._done("trigger", pb.TriggerRequest(), timeout)

    async def stop(self, timeout: float | None = None) -> Done:
        return await self._done("stop", pb.StopRequest(), timeout)

    async def abort(self, timeout: float | None = None) -> Done:
        return await self._done("abort", pb.AbortRequest(), timeout)

    async def start_run(
        self,
        udfs: Sequence[UDF],
        run: str,
        acquisitions: int,
        join_current: bool,
        timeout: float | None = None,
        from_start: bool = False,
        inputs: Inputs | None = None,
    ) -> str:
        given = inputs or Inputs.of(udfs, None, None)
        body = pb.StartRunRequest(
            run=run,
            udfs=udf_requests(udfs),
            acquisitions=acquisitions,
            join_current=join_current,
            from_start=from_start,
            arrays=given.headers,
            keeps_isolated_pixels=given.keeps_isolated,
        )
        return (await self.request("start_run", body, timeout, given.parts)).reply.run_started.run

    async def change_run(self, run: str, udfs: Sequence[UDF], recompute: bool, timeout: float | None = None) -> Done:
        body = pb.ChangeRunRequest(run=run, udfs=udf_requests(udfs), recompute=recompute)
        return await self._done("change_run", body, timeout)

    async def stop_run(self, run: str, timeout: float | None = None) -> Done:
        return await self._done("stop_run", pb.StopRunRequest(run=run), timeout)

    async def runs(self, timeout: float | None = None) -> tuple[RunStatus, ...]:
        answer = await self.request("list_runs", pb.ListRunsRequest(), timeout)
        return tuple(map(messages.run_status, answer.reply.run_list.runs))

    async def _done(self, kind: str, body: Message, timeout: float | None) -> Done:
        reply = (await self.request(kind, body, timeout)).reply
        done = reply.done
        return Done(
            done.frames_placed,
            done.generation,
            reply.state_before,
            reply.state_after,
            done.end_reason,
            done.frames_expected,
        )


def arm_request(
    nav_shape: Sequence[int] | None,
    frames: int | None,
    trigger: str | None,
    *,
    margins: Margins | None = None,
    frames_per_partition: int | None = None,
    endless: bool = False,
    window: int | None = None,
) -> pb.ArmRequest:
    if window is not None and not 1 <= window <= LONGEST_WINDOW:
        raise ValueError(f"a window of {window} acquisitions; 1 to {LONGEST_WINDOW} are possible")
    return pb.ArmRequest(
        nav_shape=list(nav_shape or ()),
        frames=frames or 0,
        trigger=trigger or "",
        margins=None
        if margins is None
        else pb.ScanMargins(lead_in=margins.lead_in, flyback_per_line=margins.flyback, tail=margins.tail),
        frames_per_partition=frames_per_partition or 0,
        endless=endless,
        window=window or 0,
    )


def detector_settings(settings: Mapping[str, object]) -> list[pb.DetectorSet]:
    return [pb.DetectorSet(name=name, value=_parameter(value)) for name, value in settings.items()]


def udf_requests(udfs: Sequence[UDF]) -> list[pb.UdfRequest]:
    return [pb.UdfRequest(id=each.id, name=each.name, parameters=dict(each.parameters)) for each in udfs]


def _parameter(value: object) -> str:
    """A detector parameter as the detector writes it: switches are 0 and 1."""
    return str(int(value)) if isinstance(value, bool) else str(value)
