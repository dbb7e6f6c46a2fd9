"""What a server sends on and on, with one body for both faces: coroutines that open a stream.

Their parameters and words are those of the methods of `Connection` and `AsyncConnection`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, TypeVar

import numpy.typing as npt

from ._io.client import Client
from ._io.scanning import ScanStream
from ._io.tiles import FetchStream, TileStream
from ._io.updates import UpdateStream
from .inputs import Corrections, Inputs
from .plot import LivePlot
from .progress import ShownStates
from .reports import Margins
from .results import Results
from .udfs import UDFLike, as_udfs

DEFAULT_SILENCE = 60.0
DEFAULT_MEMORY = 256 << 20

Call = TypeVar("Call", bound=Callable[..., Any])


def presented(call: Call, body: Callable[..., Any], gives: str, about: str = "") -> Call:
    """A method with the signature and the words of its body, for help() and for notebooks; it gives something else."""
    update_wrapper(call, body)
    call.__doc__ = about or body.__doc__
    shown = signature(body)
    _, *parameters = shown.parameters.values()
    this = Parameter("self", Parameter.POSITIONAL_ONLY)
    shown = shown.replace(parameters=[this, *parameters], return_annotation=gives)
    call.__signature__ = shown  # type: ignore[attr-defined]
    return call


async def tiles(
    client: Client,
    *,
    acquisitions: int | None = 1,
    repair: bool = True,
    timeout: float | None = DEFAULT_SILENCE,
    memory: int = DEFAULT_MEMORY,
) -> TileStream:
    """Tiles of the acquisition that runs, else of the next one; ends with it.

    acquisitions: how many to follow, None for all to come.
    repair: fetch what the live stream left out, as long as the server holds it.
    timeout: seconds without a new tile after which `DeadlineExceeded` is raised, None for as long as the server
    is there.
    memory: bytes of tiles that may wait for this subscriber, about.
    """
    stream = TileStream(client, acquisitions, repair, timeout, memory)
    await stream.open()
    return stream


async def fetch(
    client: Client,
    first: int = 0,
    count: int | None = None,
    *,
    acquisition: uuid.UUID | None = None,
    timeout: float | None = None,
) -> FetchStream:
    """Frames that the server still holds: `count` positions (all that follow) from `first` on, of the acquisition that
    runs or the last one, or of `acquisition`."""
    stream = FetchStream(client, acquisition, first, count, timeout)
    await stream.open()
    return stream


async def updates(
    client: Client,
    run: str = "default",
    *,
    acquisitions: int | None = 1,
    max_rate: float | None = None,
    timeout: float | None = DEFAULT_SILENCE,
    progress: bool = False,
    plots: Iterable[LivePlot] = (),
) -> ShownStates:
    """States of the results of a run, of the acquisition that runs, else of the next one; the last state is final.

    What comes faster than it is taken is left out: each state is the newest. max_rate: states a second at most.
    timeout: seconds without anything new after which `DeadlineExceeded` is raised.
    """
    stream = UpdateStream(client, run, acquisitions, max_rate=max_rate, timeout=timeout)
    await stream.open()
    return ShownStates(stream, progress, plots)


async def scan(
    client: Client,
    udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
    *,
    nav_shape: Sequence[int] | None = None,
    frames: int | None = None,
    trigger: str | None = "soft",
    arm: bool = True,
    join_current: bool = False,
    roi: npt.ArrayLike | None = None,
    corrections: Corrections | None = None,
    margins: Margins | None = None,
    timeout: float | None = DEFAULT_SILENCE,
) -> ScanStream:
    """Starts a run of UDFs on one acquisition, arms the detector and triggers it.

    udfs: as `UDF`s, in the command line's words (`"bf=disk:r=30"`), or under ids (`{"bf": disk(r=30)}`).
    nav_shape: of the scan, slow axis first; without it, what the server is set to.
    frames: how many the detector is to take; the scan's size when nav_shape is given, else as it is set.
    trigger: soft (sent at once), internal, or None (as the detector is set).
    arm=False: the operator, or another program, starts the acquisition; the next one is taken, or with
    join_current the one that runs.
    roi: True for the scan positions to be worked on. corrections: of each frame, in place of the server's own.
    margins: frames that are no scan positions, such as those of the beam's way back (`Margins(flyback=1)`).
    timeout: seconds without anything new after which `DeadlineExceeded` is raised.
    """
    chosen = as_udfs(udfs)
    stream = ScanStream(
        client,
        chosen,
        nav_shape=nav_shape,
        frames=frames,
        trigger=trigger,
        arm=arm,
        join_current=join_current,
        timeout=timeout,
        inputs=Inputs.of(chosen, roi, corrections),
        margins=margins,
    )
    await stream.open()
    return stream


async def run(
    client: Client,
    udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
    *,
    nav_shape: Sequence[int] | None = None,
    frames: int | None = None,
    trigger: str | None = "soft",
    arm: bool = True,
    join_current: bool = False,
    roi: npt.ArrayLike | None = None,
    corrections: Corrections | None = None,
    margins: Margins | None = None,
    timeout: float | None = DEFAULT_SILENCE,
    progress: bool = False,
    plots: Iterable[LivePlot] = (),
    max_rate: float | None = 10.0,
) -> Results:
    """Runs UDFs on one acquisition, as `scan` does, and gives the final results; meanwhile a bar of progress and plots
    follow them, at `max_rate` times a second at most."""
    stream = await scan(
        client,
        udfs,
        nav_shape=nav_shape,
        frames=frames,
        trigger=trigger,
        arm=arm,
        join_current=join_current,
        roi=roi,
        corrections=corrections,
        margins=margins,
        timeout=timeout,
    )
    shown = ShownStates(stream, progress, plots)
    try:
        stream.limit_rate(max_rate)
        while await shown.next() is not None:
            pass
        return stream.latest
    finally:
        shown.leave()
        await stream.close()
