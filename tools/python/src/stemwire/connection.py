"""The blocking face: what notebooks and scripts use."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import ParamSpec

from . import streams
from ._io.client import Client, TokenLike
from ._io.waiting import BlockingWaiter
from ._io.waiting import run as run_to_end
from .iterators import Closing, FetchIterator, FrameIterator, Scan, TileIterator, UpdateIterator
from .page import viewer_page
from .requests import DEFAULT_TIMEOUT, Requests, blocking
from .results import Results

Parameters = ParamSpec("Parameters")
Stream = TypeVar("Stream")
Made = TypeVar("Made", bound=Closing)


def opened(
    body: Callable[Concatenate[Client, Parameters], Coroutine[Any, Any, Stream]],
    make: Callable[[Stream], Made],
    about: str = "",
) -> Callable[Concatenate[Connection, Parameters], Made]:
    """A method that opens a stream; what it makes of it keeps the connection alive."""

    def call(self: Connection, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Made:
        made = make(run_to_end(body(self._client, *args, **kwargs)))
        made.owner = self
        return made

    return streams.presented(call, body, make.__name__, about)


def finished(
    body: Callable[Concatenate[Client, Parameters], Coroutine[Any, Any, Results]],
) -> Callable[Concatenate[Connection, Parameters], Results]:
    """A method that returns when all is done."""

    def call(self: Connection, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Results:
        return run_to_end(body(self._client, *args, **kwargs))

    return streams.presented(call, body, "Results")


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

    @property
    def udfs(self) -> tuple[str, ...]:
        """Names of the UDFs that the server knows."""
        return self._client.directory.udfs

    # Data

    tiles = opened(streams.tiles, TileIterator)
    frames = opened(streams.tiles, FrameIterator, "Pairs of flat scan position and frame (y, x); as `tiles`.")
    fetch = opened(streams.fetch, FetchIterator)
    updates = opened(streams.updates, UpdateIterator)

    # Runs

    scan = opened(streams.scan, Scan)
    run = finished(streams.run)

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
    configure = blocking(Requests.configure)
    command_file = blocking(Requests.command_file)
    check = blocking(Requests.check)
    arm = blocking(Requests.arm)
    trigger = blocking(Requests.trigger)
    stop = blocking(Requests.stop)
    abort = blocking(Requests.abort)
    wait = blocking(Requests.wait)
    acquire = blocking(Requests.acquire)
    picture = blocking(Requests.picture)
    frame = blocking(Requests.frame)
    history = blocking(Requests.history)

    def show(self, port: int = 7480, *, height: int = 720, timeout: float = 5.0) -> Any:
        """The viewer's page, to be shown in a notebook; `port` is the server's `--http-port`.

        Raises `ServerUnreachable` when there is no page. The browser reaches it at the address of this connection.
        """
        return viewer_page(self._client.address.host, port, height, timeout)

    def close(self) -> None:
        """Ends the connection and its iterators; the server goes on."""
        self._client.close()


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
    run_to_end(client.open(wait))
    return Connection(client)


def save_npy(path: str | Path, array: npt.ArrayLike) -> Path:
    """Writes an array as `.npy`: little-endian, C order, no pickle; the way for the frames of a tile."""
    path = Path(path)
    data = np.asarray(array)
    with path.open("wb") as file:
        little = data.astype(data.dtype.newbyteorder("<"), copy=False)
        np.lib.format.write_array(file, np.ascontiguousarray(little), allow_pickle=False)
    return path
