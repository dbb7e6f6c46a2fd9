"""The blocking face: what notebooks and scripts use."""

from __future__ import annotations

import urllib.request
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ._io.client import Client, TokenLike
from ._io.scanning import ScanStream
from ._io.tiles import FetchStream, TileStream
from ._io.updates import UpdateStream
from ._io.waiting import BlockingWaiter, run
from .errors import ServerUnreachable
from .inputs import Corrections, Inputs
from .iterators import Closing, FetchIterator, FrameIterator, Scan, TileIterator, UpdateIterator
from .plot import LivePlot
from .requests import Requests, blocking
from .results import Results
from .udfs import UDFLike, as_udfs

DEFAULT_TIMEOUT = 5.0
DEFAULT_SILENCE = 60.0
DEFAULT_MEMORY = 256 << 20


Made = TypeVar("Made", bound=Closing)


class Connection(Closing):
    """A connection to an acquisition server; `stemwire.connect` makes one.

    Requests may be made from any thread; an iterator belongs to the thread that uses it. Several connections, also
    in one process, and cells that are run again, do not disturb each other: the server owns the detector.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __repr__(self) -> str:
        state = "closed" if self._client.closed else self._client.server
        return f"<stemwire.Connection to {self._client.address}, {state}>"

    def _own(self, made: Made) -> Made:
        made.owner = self
        return made

    @property
    def udfs(self) -> tuple[str, ...]:
        """Names of the UDFs that the server knows."""
        return self._client.directory.udfs

    # Data

    def tiles(
        self,
        *,
        acquisitions: int | None = 1,
        repair: bool = True,
        timeout: float | None = DEFAULT_SILENCE,
        memory: int = DEFAULT_MEMORY,
    ) -> TileIterator:
        """Tiles of the acquisition that runs, else of the next one; ends with it.

        acquisitions: how many to follow, None for all to come.
        repair: fetch what the live stream left out, as long as the server holds it.
        timeout: seconds without a new tile after which `DeadlineExceeded` is raised, None for as long as the server
        is there.
        memory: bytes of tiles that may wait for this subscriber, about.
        """
        return self._own(TileIterator(TileStream(self._client, acquisitions, repair, timeout, memory)))

    def frames(
        self,
        *,
        acquisitions: int | None = 1,
        repair: bool = True,
        timeout: float | None = DEFAULT_SILENCE,
        memory: int = DEFAULT_MEMORY,
    ) -> FrameIterator:
        """Pairs of flat scan position and frame (y, x); as `tiles`."""
        return FrameIterator(self.tiles(acquisitions=acquisitions, repair=repair, timeout=timeout, memory=memory))

    def fetch(
        self,
        first: int = 0,
        count: int | None = None,
        *,
        acquisition: uuid.UUID | None = None,
        timeout: float | None = None,
    ) -> FetchIterator:
        """Frames that the server still holds: `count` positions (all that follow) from `first` on, of the
        acquisition that runs or the last one, or of `acquisition`."""
        return self._own(FetchIterator(FetchStream(self._client, acquisition, first, count, timeout)))

    def updates(
        self,
        run: str = "default",
        *,
        acquisitions: int | None = 1,
        max_rate: float | None = None,
        timeout: float | None = DEFAULT_SILENCE,
        progress: bool = False,
        plots: Iterable[LivePlot] = (),
    ) -> UpdateIterator:
        """States of the results of a run, of the acquisition that runs, else of the next one; the last state is final.

        What comes faster than it is taken is left out: each state is the newest. timeout: seconds without anything new.
        """
        stream = UpdateStream(self._client, run, acquisitions, max_rate=max_rate, timeout=timeout)
        _run(stream.open())
        return self._own(UpdateIterator(stream, progress, plots))

    # Runs

    def scan(
        self,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
        *,
        nav_shape: Sequence[int] | None = None,
        frames: int | None = None,
        trigger: str | None = "soft",
        arm: bool = True,
        join_current: bool = False,
        roi: npt.ArrayLike | None = None,
        corrections: Corrections | None = None,
        timeout: float | None = DEFAULT_SILENCE,
    ) -> Scan:
        """Starts a run of UDFs on one acquisition, arms the detector and triggers it.

        udfs: as `UDF`s, in the command line's words (`"bf=disk:r=30"`), or under ids (`{"bf": disk(r=30)}`).
        nav_shape: of the scan, slow axis first; without it, what the server is set to.
        frames: how many the detector is to take; the scan's size when nav_shape is given, else as it is set.
        trigger: soft (sent at once), internal, or None (as the detector is set).
        arm=False: the operator, or another program, starts the acquisition; the next one is taken, or with
        join_current the one that runs.
        roi: True for the scan positions to be worked on. corrections: of each frame, in place of the server's own.
        timeout: seconds without anything new after which `DeadlineExceeded` is raised.
        """
        chosen = as_udfs(udfs)
        stream = ScanStream(
            self._client,
            chosen,
            nav_shape=nav_shape,
            frames=frames,
            trigger=trigger,
            arm=arm,
            join_current=join_current,
            timeout=timeout,
            inputs=Inputs.of(chosen, roi, corrections),
        )
        return self._own(Scan(stream))

    def run(
        self,
        udfs: UDFLike | Iterable[UDFLike] | Mapping[str, UDFLike],
        *,
        nav_shape: Sequence[int] | None = None,
        frames: int | None = None,
        trigger: str | None = "soft",
        arm: bool = True,
        join_current: bool = False,
        roi: npt.ArrayLike | None = None,
        corrections: Corrections | None = None,
        timeout: float | None = DEFAULT_SILENCE,
        progress: bool = False,
        plots: Iterable[LivePlot] = (),
        max_rate: float | None = 10.0,
    ) -> Results:
        """Runs UDFs on one acquisition, as `scan` does, and gives the final results."""
        with self.scan(
            udfs,
            nav_shape=nav_shape,
            frames=frames,
            trigger=trigger,
            arm=arm,
            join_current=join_current,
            roi=roi,
            corrections=corrections,
            timeout=timeout,
        ) as scan:
            for _ in scan.updates(max_rate, progress, plots):
                pass
            return scan.result

    # Requests

    snapshot = blocking(Requests.snapshot)
    start_run = blocking(Requests.start_run)
    change_run = blocking(Requests.change_run)
    stop_run = blocking(Requests.stop_run)
    runs = blocking(Requests.runs)
    status = blocking(Requests.status)
    directory = blocking(Requests.directory)
    get = blocking(Requests.get)
    set = blocking(Requests.set)
    cmd = blocking(Requests.cmd)
    arm = blocking(Requests.arm)
    trigger = blocking(Requests.trigger)
    stop = blocking(Requests.stop)
    abort = blocking(Requests.abort)

    def show(self, port: int = 7480, *, height: int = 720, timeout: float = 5.0) -> Any:
        """The viewer's page, to be shown in a notebook; `port` is the server's `--http-port`.

        Raises `ServerUnreachable` when there is no page. The browser reaches it at the address of this connection.
        """
        from IPython.display import IFrame

        host = self._client.address.host
        url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        try:
            with urllib.request.urlopen(url, timeout=timeout):
                return IFrame(url, width="100%", height=height)  # type: ignore[no-untyped-call,unused-ignore]
        except OSError as error:
            raise ServerUnreachable(f"there is no viewer's page at {url}: {error}; see --http-port") from None

    def close(self) -> None:
        """Ends the connection and its iterators; the server goes on."""
        self._client.close()


_run = run


def connect(
    address: str = "tcp://127.0.0.1:7400",
    *,
    timeout: float = DEFAULT_TIMEOUT,
    wait: bool = False,
    verify: bool | None = None,
    token: TokenLike | None = None,
) -> Connection:
    """Connects to the control socket of a server: `tcp://HOST:PORT`, `HOST:PORT` or `HOST`.

    timeout: seconds, for this and, unless they say otherwise, for all requests. wait: keep trying for that long when
    nobody listens yet. verify: compare the checksums of what comes; without it, unless the server is on this machine.
    token: for servers that ask for keys: what `stemwire enrol` printed, or a file with it; without it, what
    STEMWIRE_TOKEN holds.

    Raises `ServerUnreachable`, `NotStemwire`, `VersionMismatch`, `AccessDenied` or `BadToken`, each saying what to
    check.
    """
    client = Client(address, BlockingWaiter(), timeout, verify, token)
    run(client.open(wait))
    return Connection(client)


def save_npy(path: str | Path, array: npt.ArrayLike) -> Path:
    """Writes an array as `.npy`: little-endian, C order, no pickle; the way for the frames of a tile."""
    path = Path(path)
    data = np.asarray(array)
    with path.open("wb") as file:
        little = data.astype(data.dtype.newbyteorder("<"), copy=False)
        np.lib.format.write_array(file, np.ascontiguousarray(little), allow_pickle=False)
    return path
