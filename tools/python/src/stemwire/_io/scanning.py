"""A run on one acquisition, from starting it to its final results."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from math import prod

from ..errors import ConnectionClosed, StemwireError
from ..inputs import Inputs
from ..reports import Margins
from ..results import Results
from ..status import AcquisitionStatus
from ..udfs import UDF
from .client import Client, arm_request
from .updates import UpdateStream

_STOP_SECONDS = 1.0


class ScanStream:
    """Subscribes first, then starts the run, then arms and triggers: nothing of it can be missed."""

    def __init__(
        self,
        client: Client,
        udfs: Sequence[UDF],
        *,
        nav_shape: Sequence[int] | None,
        frames: int | None,
        trigger: str | None,
        arm: bool,
        join_current: bool,
        timeout: float | None,
        inputs: Inputs | None = None,
        margins: Margins | None = None,
    ) -> None:
        if trigger not in (None, "soft", "internal"):
            raise ValueError(f"trigger is 'soft', 'internal' or None (as the detector is set), not {trigger!r}")
        if join_current and arm:
            raise ValueError("join_current takes part in the acquisition that runs: it needs arm=False")
        self._client = client
        self._inputs = inputs
        self._udfs = udfs
        self._nav_shape = nav_shape
        self._frames = frames
        self._trigger = trigger
        self._margins = margins
        self._arm = arm
        self._join_current = join_current
        self.run = f"python-{uuid.uuid4().hex[:12]}"
        self._stream = UpdateStream(client, self.run, 1, max_rate=None, timeout=timeout, join_current=join_current)
        self.latest = Results(self.run, {})
        self._started = False
        self._finished = False

    def limit_rate(self, max_rate: float | None) -> None:
        self._stream.limit_rate(max_rate)

    @property
    def progress(self) -> AcquisitionStatus | None:
        return self._stream.progress

    async def open(self) -> None:
        try:
            await self._stream.open()
            await self._client.start_run(self._udfs, self.run, 1, self._join_current, inputs=self._inputs)
            self._started = True
            if self._arm:
                body = arm_request(self._nav_shape, self._frame_count(), self._trigger, margins=self._margins)
                await self._client.arm(body)
                if self._trigger == "soft":
                    await self._client.trigger()
        except BaseException:
            await self.close()
            raise

    async def next(self) -> Results | None:
        if self._finished:
            return None
        found = await self._stream.next()
        if found is None:
            self._finished = True
            self._stream.close()
        else:
            self.latest = found
        return found

    def leave(self) -> None:
        """The scan goes on; its updates may be taken up again."""

    async def finish(self) -> Results:
        """Takes what is still to come; the final results."""
        while await self.next() is not None:
            pass
        return self.latest

    async def close(self) -> None:
        """Ends the run if it is not over; the acquisition goes on."""
        self._stream.close()
        if self._started and not self._finished:
            self._finished = True
            with suppress(StemwireError, ConnectionClosed):
                await self._client.stop_run(self.run, _STOP_SECONDS)

    def _frame_count(self) -> int:
        if self._frames is not None:
            return self._frames
        shape = self._nav_shape
        return prod(shape) if shape and min(shape) > 0 else 0
