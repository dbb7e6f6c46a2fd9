"""What requests about the detector, series of acquisitions and the past are answered with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import numpy as np

from .status import AcquisitionStatus, UDFStatus


@dataclass(frozen=True)
class Margins:
    """Frames that are no scan positions: before the first, after each line, after the last line."""

    lead_in: int = 0
    flyback: int = 0
    tail: int = 0


@dataclass(frozen=True)
class Setting:
    """A parameter of the detector after it was set."""

    name: str
    asked: str
    value: str
    """As the detector says afterwards."""
    differs: bool
    detector_code: int = 0
    """Why it was refused; 0 when it was not."""
    message: str = ""


@dataclass(frozen=True)
class CommandLine:
    """A line of a command file that was done."""

    request: str
    value: str
    """Of a GET."""


@dataclass(frozen=True)
class Finding:
    severity: str
    """info, warning or error."""
    code: str
    """A stable word such as `frames.tooFew`."""
    text: str


@dataclass(frozen=True)
class Check:
    """Whether an acquisition would work, and how long it would take. Times are in seconds."""

    ok: bool
    """No finding is an error."""
    findings: tuple[Finding, ...]
    nav_shape: tuple[int, ...]
    sig_shape: tuple[int, ...]
    dtype: np.dtype[np.generic] | None
    counter_depth: int
    frames_needed: int
    """By the scan, fly-back and the like counted."""
    frames_announced: int
    """What the detector would send; 0: until stopped."""
    triggers: int
    """What the detector would wait for."""
    exposure_seconds: float
    dead_time_seconds: float
    frame_seconds: float
    seconds: float
    frame_bytes: int
    bytes: int
    disk_bytes_free: int


@dataclass(frozen=True)
class Acquired:
    """Acquisitions that have ended, with final results; of a long series the last of them."""

    acquisitions: tuple[AcquisitionStatus, ...]
    run: str
    done: int
    differing: tuple[Setting, ...] = ()
    """Settings that are not what was asked for."""


@dataclass(frozen=True)
class HistoryResult:
    """`digest` tells whether an array is the same."""

    udf: str
    channel: str
    dtype: str
    shape: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class HistoryRun:
    run: str
    udfs: tuple[UDFStatus, ...]
    error: str
    results: tuple[HistoryResult, ...]


@dataclass(frozen=True)
class HistoryEntry:
    """An acquisition of the past."""

    number: int
    server: str
    session: bytes
    started_at: int
    """By the server's clock, nanoseconds since 1970."""
    ended_at: int
    acquisition: AcquisitionStatus
    acquisition_header: bytes
    dtype: str
    runs: tuple[HistoryRun, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A result or a frame as a file."""

    data: bytes
    format: str
    media_type: str
    """Such as image/png."""
    dtype: str
    shape: tuple[int, ...]
    acquisition: uuid.UUID | None
    generation: int

    def _repr_png_(self) -> bytes | None:
        return self.data if self.format == "png" else None
