"""Requests about the detector, whole acquisitions and the past, with one body for both faces."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._core import answers
from ._io.client import Client, arm_request, detector_settings, udf_requests
from ._wire import stemwire_pb2 as pb
from .reports import Acquired, Check, CommandLine, HistoryEntry, Margins, Picture, Setting
from .udfs import UDFLike, as_udfs

_LONGEST_SCAN = 600.0


class Operations:
    """What needs one answer and no stream."""

    _client: Client

    async def configure(self, settings: Mapping[str, object], *, timeout: float | None = None) -> tuple[Setting, ...]:
        """Sets parameters of the detector, in an order in which it takes them, and reads all back: see `differs`."""
        body = pb.ConfigureRequest(settings=detector_settings(settings))
        return answers.settings((await self._client.request("configure", body, timeout)).reply.settings.settings)

    async def command_file(self, text: str, *, timeout: float | None = None) -> tuple[CommandLine, ...]:
        """Sends a command file of the detector: lines of `SET,NAME,VALUE`, `CMD,NAME` or `GET,NAME`.

        Ends at the first that is refused; nothing is sent when a line cannot be read.
        """
        answer = await self._client.request("command_file", pb.CommandFileRequest(text=text), timeout)
        return answers.command_lines(answer.reply.command_file)

    async def check(
        self,
        nav_shape: Sequence[int] | None = None,
        *,
        frames: int | None = None,
        trigger: str | None = None,
        margins: Margins | None = None,
        settings: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> Check:
        """Whether an acquisition would work, as if `settings` were set, and how long it takes. Changes nothing."""
        arm = arm_request(nav_shape, frames, trigger, margins=margins)
        body = pb.CheckRequest(arm=arm, settings=detector_settings(settings or {}))
        return answers.check((await self._client.request("check", body, timeout)).reply.check)

    async def wait(self, generation: int = 0, *, timeout: float = _LONGEST_SCAN) -> Acquired:
        """Waits until the acquisition that is armed or runs has ended and its results are final; tells the last one at
        once when there is none. generation: of this acquisition or a later one."""
        answer = await self._client.request("wait", pb.WaitRequest(generation=generation), timeout)
        return answers.acquired(answer.reply.scan)

    async def acquire(
        self,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike] = (),
        *,
        nav_shape: Sequence[int] | None = None,
        frames: int | None = None,
        trigger: str | None = "soft",
        margins: Margins | None = None,
        settings: Mapping[str, object] | None = None,
        repeats: int = 1,
        run: str = "",
        timeout: float = _LONGEST_SCAN,
    ) -> Acquired:
        """Settings, a run of UDFs, arm, trigger and wait, `repeats` times, as one request that the server does whatever
        becomes of this client. `snapshot(run)` has the results. What has not ended by `timeout` is aborted."""
        body = pb.ScanRequest(
            settings=detector_settings(settings or {}),
            arm=arm_request(nav_shape, frames, trigger, margins=margins),
            udfs=udf_requests(as_udfs(udfs)) if udfs else (),
            run=run,
            repeats=repeats,
        )
        return answers.acquired((await self._client.request("scan", body, timeout)).reply.scan)

    async def picture(
        self,
        channel: str = "",
        *,
        run: str = "",
        format: str = "png",
        colours: str = "",
        logarithmic: bool = False,
        acquisition: uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> Picture:
        """The newest state of a channel as a file; of the acquisition that runs or the last one, or of `acquisition`.

        channel: such as `"bf"` or `"com.magnitude"`; the first that there is without it. format: png, tiff (float32),
        npy or raw. A notebook shows a png. `snapshot` gives arrays.
        """
        udf, _, name = channel.partition(".")
        body = pb.ImageRequest(
            run=run,
            udf=udf,
            channel=name,
            acquisition=b"" if acquisition is None else acquisition.bytes,
            format=format,
            colours=colours,
            logarithmic=logarithmic,
        )
        answer = await self._client.request("image", body, timeout)
        return answers.picture(answer.reply.image, answer.payloads, self._client.verified)

    async def frame(
        self,
        position: int | Sequence[int] | None = None,
        *,
        acquisition: uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """One frame (y, x), decoded, as long as the server has it; of the acquisition that runs or the last one.

        position: flat, or the indices in the scan; the newest frame without it.
        """
        body = pb.FrameRequest(acquisition=b"" if acquisition is None else acquisition.bytes, format="npy")
        if position is None:
            body.newest = True
        elif isinstance(position, Sequence):
            body.at.extend(position)
        else:
            body.position = position
        answer = await self._client.request("frame", body, timeout)
        found = answers.picture(answer.reply.image, answer.payloads, self._client.verified)
        array: npt.NDArray[Any] = np.load(io.BytesIO(found.data), allow_pickle=False)
        return array

    async def history(
        self,
        count: int = 20,
        *,
        before: int = 0,
        acquisition: uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> tuple[HistoryEntry, ...]:
        """Acquisitions of the past, the newest first, where the server keeps them (`serve --history`).

        before: only those with a smaller `number`, for the next page.
        """
        body = pb.HistoryRequest(
            count=count, before=before, acquisition=b"" if acquisition is None else acquisition.bytes
        )
        return answers.history((await self._client.request("history", body, timeout)).reply.history)
