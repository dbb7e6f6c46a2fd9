"""What the server tells about acquisitions, runs and itself."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from .frames import FrameFormat


@dataclass(frozen=True)
class Accounting:
    """Where an acquisition's frames went: expected = placed + missing + rejected. The other counts stand beside it."""

    expected: int = 0
    placed: int = 0
    """Scan positions that have their frame."""
    missing: int = 0
    """Scan positions whose frame never came."""
    rejected: int = 0
    """Scan positions whose frame was damaged."""
    duplicates: int = 0
    strays: int = 0
    lead_in_frames: int = 0
    flyback_frames: int = 0
    tail_frames: int = 0
    malformed: int = 0
    garbage_bytes: int = 0
    other_messages: int = 0
    dropped_by_ring_full: int = 0
    missing_ranges: tuple[range, ...] = ()
    """Flat scan positions without a frame; `missing_ranges_truncated` tells that there are more."""
    missing_ranges_truncated: bool = False
    rejected_ranges: tuple[range, ...] = ()
    """Flat scan positions whose only frames were damaged."""
    duplicate_ranges: tuple[range, ...] = ()
    """Flat scan positions whose frame came more than once."""

    @property
    def unaccounted(self) -> int:
        """0 once an acquisition has ended."""
        return self.expected - self.placed - self.missing - self.rejected

    @property
    def complete(self) -> bool:
        """Every scan position has its frame."""
        return self.placed == self.expected

    def __str__(self) -> str:
        text = f"{self.placed} of {self.expected} frames placed, {self.missing} missing, {self.rejected} rejected"
        return text if not self.duplicates else f"{text}, {self.duplicates} duplicates"


@dataclass(frozen=True)
class Start:
    """An acquisition has begun."""

    acquisition: uuid.UUID
    generation: int
    nav_shape: tuple[int, ...]
    frames_expected: int
    format: FrameFormat
    frames_per_partition: int
    acquisition_header: bytes
    """The detector's acquisition header, verbatim; empty when it sent none."""
    started_at: int
    """By the server's clock, nanoseconds since 1970."""

    @property
    def header(self) -> dict[str, str]:
        """The acquisition header by its keys; of a key that comes twice, the first."""
        found: dict[str, str] = {}
        for line in self.acquisition_header.decode("latin-1").splitlines()[1:]:
            if line.strip() == "End":
                break
            key, separator, value = line.partition("\t")
            if separator:
                found.setdefault(key.rstrip().removesuffix(":"), value.strip())
        return found


@dataclass(frozen=True)
class ResultName:
    run: str
    udf: str
    channel: str


@dataclass(frozen=True)
class End:
    """An acquisition has ended."""

    acquisition: uuid.UUID
    generation: int
    reason: str
    """complete, newHeader, stopped, aborted, connectionClosed or idle."""
    accounting: Accounting
    seconds: float = 0.0
    nav_shape: tuple[int, ...] = ()
    tiles_published: int = 0
    tiles_dropped: int = 0
    frames_processed: int = 0
    frames_failed: int = 0
    results: tuple[ResultName, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that an operator wants to know."""

    severity: str
    """info, warning or error."""
    code: str
    """A stable word such as `detector.connected`."""
    text: str
    sent_at: int = 0


@dataclass(frozen=True)
class AcquisitionStatus:
    acquisition: uuid.UUID
    generation: int
    end_reason: str
    """Empty while it runs."""
    accounting: Accounting
    nav_shape: tuple[int, ...]
    sig_shape: tuple[int, ...]
    seconds: float
    frames_per_second: float
    frames_processed: int

    def as_end(self) -> End:
        """The end message, as far as the status tells it."""
        return End(
            self.acquisition,
            self.generation,
            self.end_reason,
            self.accounting,
            self.seconds,
            self.nav_shape,
            frames_processed=self.frames_processed,
        )


@dataclass(frozen=True)
class DetectorStatus:
    source: str = ""
    data_connected: bool = False
    control_connected: bool = False
    reason: str = ""
    """Why it is not connected; empty when it is."""
    bytes_received: int = 0
    frames_received: int = 0


@dataclass(frozen=True)
class RingStatus:
    bytes_total: int = 0
    slots_total: int = 0
    slots_free: int = 0
    slots_retained: int = 0
    waits_for_space: int = 0


@dataclass(frozen=True)
class LiveStatus:
    subscriptions: int = 0
    tiles_published: int = 0
    tiles_dropped: int = 0
    updates_published: int = 0
    bytes_pinned: int = 0


@dataclass(frozen=True)
class UDFStatus:
    id: str
    name: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunStatus:
    run: str
    udfs: tuple[UDFStatus, ...]
    positions_processed: int
    positions_expected: int
    frames_failed: int
    error: str
    finished: bool
    acquisitions_left: int
    """Acquisitions that are still to be run on; 0: until stopped."""


@dataclass(frozen=True)
class WorkerStatus:
    """One who runs UDFs: a thread of the server, or a worker."""

    name: str
    host: str
    is_local: bool
    """A thread of the server."""
    threads: int
    in_flight: int
    """Partitions that it has."""
    done: int
    redone: int
    """Of what it had: done by others since."""
    failed: int
    rate: float
    """Partitions a second."""
    lag_seconds: float
    """Age of the oldest partition that it has."""


@dataclass(frozen=True)
class WindowEntry:
    acquisition: uuid.UUID
    generation: int
    frames_expected: int
    frames_held: int
    """What can be fetched."""
    ended: bool


@dataclass(frozen=True)
class WindowStatus:
    """The acquisitions that are there still, with results and frames; the window moves on with each new one."""

    kept: int = 0
    """Ended acquisitions that are kept, at most; the oldest go first."""
    endless: bool = False
    """The detector was armed to go on until it is stopped."""
    first_generation: int = 0
    """Of the first acquisition since it was armed; 0: it was not."""
    entries: tuple[WindowEntry, ...] = ()
    """The oldest first; the last one may still run."""


@dataclass(frozen=True)
class Status:
    """The server's state."""

    server: str
    state: str
    """idle, armed, acquiring or disconnected."""
    detector: DetectorStatus
    acquisition: AcquisitionStatus | None
    """The one that runs."""
    previous_acquisition: AcquisitionStatus | None
    """The last one that ended."""
    earlier_acquisitions: tuple[AcquisitionStatus, ...]
    ring: RingStatus
    live: LiveStatus
    runs: tuple[RunStatus, ...]
    uptime_seconds: float
    acquisitions: int
    work_peers: int
    armed: bool = False
    """The detector waits for its trigger, or sends."""
    frames_written: int = 0
    """Of the present or last acquisition, to `file_uri`."""
    file_uri: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    workers: tuple[WorkerStatus, ...] = ()
    window: WindowStatus = field(default_factory=WindowStatus)

    @property
    def ended(self) -> tuple[AcquisitionStatus, ...]:
        """Acquisitions that ended, as far as the server remembers, the oldest first."""
        last = () if self.previous_acquisition is None else (self.previous_acquisition,)
        return self.earlier_acquisitions + last

    @property
    def latest_generation(self) -> int:
        """Of the newest acquisition; 0 when there was none."""
        known = [each.generation for each in self.ended]
        if self.acquisition is not None:
            known.append(self.acquisition.generation)
        return max(known, default=0)


@dataclass(frozen=True)
class Directory:
    """Where the server's sockets are and what it offers."""

    source: str
    """The detector's name in topics."""
    control_port: int
    live_port: int
    work_port: int
    topics: tuple[str, ...]
    udfs: tuple[str, ...]
    """Names of the UDFs that the server knows."""


@dataclass(frozen=True)
class Done:
    """Answer of arm, trigger, stop, abort and stop_run."""

    frames_placed: int
    """So far, in the acquisition concerned."""
    generation: int
    state_before: str
    state_after: str
    end_reason: str = ""
    """Of stop and abort: how the acquisition ended; empty when there was none, or it had not ended in time."""
    frames_expected: int = 0
