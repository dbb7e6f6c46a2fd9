"""Stemwire: a live 4D-STEM detector on the network.

>>> import stemwire
>>> with stemwire.connect("tcp://merlin-server:7400") as server:
...     results = server.run({"bf": stemwire.disk(r=30)}, nav_shape=(128, 128))
>>> results["bf"].data.shape
(128, 128)

`stemwire.aio` is the same for asyncio.
"""

from . import aio
from ._core.fetching import Unavailable
from ._core.tokens import Token
from ._version import __version__
from .connection import Connection, connect, save_npy
from .errors import (
    AccessDenied,
    BadToken,
    Busy,
    ChecksumMismatch,
    ConnectionClosed,
    DeadlineExceeded,
    DecodeError,
    DetectorNonsense,
    DetectorRefused,
    DetectorTimedOut,
    DetectorUnreachable,
    Forbidden,
    InternalFault,
    InvalidArgument,
    MalformedRequest,
    NotFound,
    NothingToFetch,
    NotStemwire,
    ProtocolError,
    RequestRefused,
    RunFailed,
    ServerLost,
    ServerUnreachable,
    StemwireError,
    UnknownRequest,
    UnsupportedVersion,
    VersionMismatch,
    WrongState,
)
from .frames import FrameFormat, Tile
from .inputs import Corrections
from .iterators import FetchIterator, FrameIterator, Scan, TileIterator, UpdateIterator
from .plot import LivePlot
from .reports import (
    Acquired,
    Check,
    CommandLine,
    Finding,
    HistoryEntry,
    HistoryResult,
    HistoryRun,
    Margins,
    Picture,
    Setting,
)
from .results import Channel, Manifest, Results
from .status import (
    Accounting,
    AcquisitionStatus,
    Directory,
    Done,
    End,
    Event,
    RunStatus,
    Start,
    Status,
    WindowEntry,
    WindowStatus,
    WorkerStatus,
)
from .udfs import UDF, com, disk, pick, ring, sumsig, total, udf

__all__ = [
    "UDF",
    "AccessDenied",
    "Accounting",
    "Acquired",
    "AcquisitionStatus",
    "BadToken",
    "Busy",
    "Channel",
    "Check",
    "ChecksumMismatch",
    "CommandLine",
    "Connection",
    "ConnectionClosed",
    "Corrections",
    "DeadlineExceeded",
    "DecodeError",
    "DetectorNonsense",
    "DetectorRefused",
    "DetectorTimedOut",
    "DetectorUnreachable",
    "Directory",
    "Done",
    "End",
    "Event",
    "FetchIterator",
    "Finding",
    "Forbidden",
    "FrameFormat",
    "FrameIterator",
    "HistoryEntry",
    "HistoryResult",
    "HistoryRun",
    "InternalFault",
    "InvalidArgument",
    "LivePlot",
    "MalformedRequest",
    "Manifest",
    "Margins",
    "NotFound",
    "NotStemwire",
    "NothingToFetch",
    "Picture",
    "ProtocolError",
    "RequestRefused",
    "Results",
    "RunFailed",
    "RunStatus",
    "Scan",
    "ServerLost",
    "ServerUnreachable",
    "Setting",
    "Start",
    "Status",
    "StemwireError",
    "Tile",
    "TileIterator",
    "Token",
    "Unavailable",
    "UnknownRequest",
    "UnsupportedVersion",
    "UpdateIterator",
    "VersionMismatch",
    "WindowEntry",
    "WindowStatus",
    "WorkerStatus",
    "WrongState",
    "__version__",
    "aio",
    "com",
    "connect",
    "disk",
    "pick",
    "ring",
    "save_npy",
    "sumsig",
    "total",
    "udf",
]
