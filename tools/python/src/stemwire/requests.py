"""Requests to a server, with one body for both faces: coroutines here, which the blocking face runs to their ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, TypeVar

import numpy.typing as npt
from typing_extensions import ParamSpec

from ._core.messages import SnapshotState
from ._io.client import arm_request
from ._io.waiting import run as run_to_end
from .inputs import Corrections, Inputs
from .operations import Operations
from .reports import Margins
from .results import Results
from .status import Directory, Done, RunStatus, Status
from .udfs import UDFLike, as_udfs

DEFAULT_TIMEOUT = 5.0

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")


def blocking(
    method: Callable[Concatenate[Any, Parameters], Coroutine[Any, Any, Value]],
) -> Callable[Concatenate[Any, Parameters], Value]:
    """The method for the blocking face."""

    @wraps(method)
    def call(self: Any, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Value:
        return run_to_end(method(self, *args, **kwargs))

    return call


class Requests(Operations):
    """What needs one answer and no stream."""

    async def snapshot(
        self, run: str = "default", *, acquisition: uuid.UUID | None = None, timeout: float | None = None
    ) -> Results:
        """The present results of a run: of the acquisition that runs or the last one, or of `acquisition`, as long as
        the server keeps it (`status().window`)."""
        return _results(run, await self._client.snapshot(run=run, acquisition=acquisition, timeout=timeout))

    async def start_run(
        self,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
        *,
        run: str = "",
        acquisitions: int = 0,
        join_current: bool = False,
        from_start: bool = False,
        roi: npt.ArrayLike | None = None,
        corrections: Corrections | None = None,
        timeout: float | None = None,
    ) -> str:
        """Starts a run on so many acquisitions (0: until stopped); gives its id, for `updates` and `stop_run`.

        With `join_current` it takes part in the acquisition that runs; with `from_start` too, also in what came
        before, as far as the server still has the frames.
        """
        chosen = as_udfs(udfs)
        inputs = Inputs.of(chosen, roi, corrections)
        return await self._client.start_run(chosen, run, acquisitions, join_current, timeout, from_start, inputs)

    async def change_run(
        self,
        run: str,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
        *,
        recompute: bool = False,
        timeout: float | None = None,
    ) -> Done:
        """Gives UDFs of a run, by their ids, other parameters, from the next partition on; `scan.run` is the id of a
        scan's.

        With `recompute`, what was done before is done again, as far as the server still has the frames.
        """
        return await self._client.change_run(run, as_udfs(udfs), recompute, timeout)

    async def stop_run(self, run: str, *, timeout: float | None = None) -> Done:
        return await self._client.stop_run(run, timeout)

    async def runs(self, *, timeout: float | None = None) -> tuple[RunStatus, ...]:
        """The runs that the server knows."""
        return await self._client.runs(timeout)

    # Server and detector

    async def status(self, *, timeout: float | None = None) -> Status:
        return await self._client.status(timeout)

    async def directory(self, *, timeout: float | None = None) -> Directory:
        return await self._client.ask_directory(timeout)

    async def get(self, name: str, *, timeout: float | None = None) -> str:
        """A parameter of the detector, such as `get("COUNTERDEPTH")`."""
        return await self._client.get(name, timeout)

    async def set(self, name: str, value: object, *, timeout: float | None = None) -> None:
        """Sets a parameter of the detector; True and False are 1 and 0."""
        await self._client.set(name, value, timeout)

    async def cmd(self, name: str, *, timeout: float | None = None) -> None:
        """Sends a command to the detector, such as `cmd("RESET")`."""
        await self._client.cmd(name, timeout)

    async def arm(
        self,
        nav_shape: Sequence[int] | None = None,
        *,
        frames: int | None = None,
        trigger: str | None = None,
        margins: Margins | None = None,
        frames_per_partition: int | None = None,
        endless: bool = False,
        window: int | None = None,
        timeout: float | None = None,
    ) -> Done:
        """Arms the detector, after setting what is given here; the rest is as the server is set.

        margins: frames that are no scan positions. frames_per_partition: scan positions that are worked on together.
        endless: until told to stop; each `nav_shape` of frames becomes an acquisition with results of its own.
        window: how many ended acquisitions, 1 to 64, the server keeps from now on with their results and, as far as
        memory lasts, their frames: `status().window`, `snapshot(acquisition=…)`, `fetch(acquisition=…)`.
        """
        body = arm_request(
            nav_shape,
            frames,
            trigger,
            margins=margins,
            frames_per_partition=frames_per_partition,
            endless=endless,
            window=window,
        )
        return await self._client.arm(body, timeout)

    async def trigger(self, *, timeout: float | None = None) -> Done:
        """Soft trigger."""
        return await self._client.trigger(timeout)

    async def stop(self, *, timeout: float | None = None) -> Done:
        """Stops the acquisition; frames on their way still count."""
        return await self._client.stop(timeout)

    async def abort(self, *, timeout: float | None = None) -> Done:
        """Ends the acquisition at once."""
        return await self._client.abort(timeout)


def _results(run: str, state: SnapshotState) -> Results:
    channels = {(each.udf, each.name): each for each in state.channels if each.run == run}
    return Results(run, channels, state.start, state.end)
