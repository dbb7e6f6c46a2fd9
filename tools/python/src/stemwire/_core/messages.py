"""From protobuf messages and their payload parts to what users see, every size checked before anything is viewed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import xxhash
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message

from .._wire import stemwire_pb2 as pb
from ..errors import ChecksumMismatch, ProtocolError
from ..frames import FrameFormat, Tile
from ..results import Channel, Manifest
from ..status import (
    Accounting,
    AcquisitionStatus,
    DetectorStatus,
    Directory,
    End,
    Event,
    LiveStatus,
    ResultName,
    RingStatus,
    RunStatus,
    Start,
    Status,
    UDFStatus,
    WindowEntry,
    WindowStatus,
    WorkerStatus,
)
from .limits import FRAMES_IN_TILE, HEADER_BYTES, PARTS, PAYLOAD_BYTES

_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float32", "float64", "complex64", "complex128"),
    )
}
DTYPE_NAMES = frozenset(_DTYPES)
_MOST_AXES = 32


@dataclass(frozen=True, slots=True)
class SnapshotState:
    start: Start | None
    end: End | None
    channels: tuple[Channel, ...]


def parse(message: Message, part: memoryview) -> None:
    """Reads a header part into `message`; raises `ProtocolError` when it is none."""
    if len(part) > HEADER_BYTES:
        raise ProtocolError(f"a header of {len(part)} bytes; the limit is {HEADER_BYTES}")
    try:
        message.ParseFromString(part)  # type: ignore[arg-type]
    except (ProtobufDecodeError, ValueError) as error:
        raise ProtocolError(f"{len(part)} bytes that are not a {message.DESCRIPTOR.name}: {error}") from None


def check_parts(parts: Sequence[memoryview]) -> None:
    if len(parts) > PARTS:
        raise ProtocolError(f"a message of {len(parts)} parts; the limit is {PARTS}")
    if parts and max(map(len, parts)) > PAYLOAD_BYTES:
        raise ProtocolError(f"a part of {max(map(len, parts))} bytes; the limit is {PAYLOAD_BYTES}")


def verify(payload: memoryview, checksum: int, what: str) -> None:
    """Compares a part's xxh3-64; 0 means that the sender left it out."""
    if checksum and xxhash.xxh3_64_intdigest(payload) != checksum:
        raise ChecksumMismatch(f"{what} arrived damaged: its checksum is not the one that was sent")


@lru_cache(maxsize=64)
def acquisition_id(value: bytes) -> uuid.UUID:
    if len(value) != 16:
        raise ProtocolError(f"an acquisition's id of {len(value)} bytes; it has 16")
    return uuid.UUID(bytes=value)


def frame_format(message: pb.FrameFormat) -> FrameFormat:
    shape = tuple(message.sig_shape)
    dtype = _DTYPES.get(message.dtype)
    if len(shape) != 2 or prod(shape) > PAYLOAD_BYTES or dtype is None:
        raise ProtocolError(f"frames of shape {shape} and dtype {message.dtype!r}")
    return FrameFormat(
        message.pixel_type,
        message.counter_depth,
        message.layout,
        message.header_width,
        message.header_height,
        message.chip_count,
        message.data_offset,
        message.payload_bytes,
        shape,
        dtype.newbyteorder("="),
    )


class FormatCache:
    """The format of an acquisition's frames stands in every tile: made once."""

    def __init__(self) -> None:
        self._wire: pb.FrameFormat | None = None
        self._format: FrameFormat | None = None

    def get(self, message: pb.FrameFormat) -> FrameFormat:
        if self._format is None or message != self._wire:
            self._format = frame_format(message)
            self._wire = pb.FrameFormat()
            self._wire.CopyFrom(message)
        return self._format


def tile(
    message: pb.Tile, payloads: Sequence[memoryview], verified: bool, formats: FormatCache, fetched: bool = False
) -> Tile:
    if len(payloads) != 1:
        raise ProtocolError(f"a tile with {len(payloads)} payload parts; it has one")
    payload = payloads[0]
    if not 1 <= message.count <= FRAMES_IN_TILE:
        raise ProtocolError(f"a tile of {message.count} frames; the limit is {FRAMES_IN_TILE}")
    if message.payload_bytes != len(payload):
        raise ProtocolError(f"a tile's payload has {len(payload)} bytes, its header says {message.payload_bytes}")
    made = Tile(
        acquisition_id(message.acquisition),
        message.generation,
        message.first_position,
        message.count,
        message.partition,
        formats.get(message.format),
        tuple(message.nav_shape),
        message.stride,
        message.header_offset,
        message.pixel_offset,
        message.received_at,
        payload,
        fetched,
    )
    made.check()
    if verified:
        verify(payload, message.checksum, f"the tile at position {message.first_position}")
    return made


def channel(message: pb.Update, payloads: Sequence[memoryview], verified: bool) -> Channel:
    name = f"{message.udf}.{message.channel}"
    if len(payloads) != 2:
        raise ProtocolError(f"an update of {name} with {len(payloads)} payload parts; it has two")
    array, mask = payloads
    dtype = _DTYPES.get(message.dtype)
    shape, nav_shape = tuple(message.shape), tuple(message.nav_shape)
    if dtype is None or len(shape) > _MOST_AXES or len(nav_shape) > _MOST_AXES:
        raise ProtocolError(f"an update of {name} with dtype {message.dtype!r} and shape {shape}")
    if prod(shape) * dtype.itemsize != len(array):
        raise ProtocolError(f"an update of {name} with {len(array)} bytes for {message.dtype} {shape}")
    positions = prod(nav_shape)
    if (positions + 7) // 8 != len(mask):
        raise ProtocolError(f"an update of {name} with a mask of {len(mask)} bytes for {positions} scan positions")
    if verified:
        verify(array, message.checksum, f"the result {name}")
        verify(mask, message.mask_checksum, f"the mask of {name}")
    data: np.ndarray[Any, np.dtype[Any]] = np.frombuffer(array, dtype).reshape(shape)
    data.flags.writeable = False
    bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=positions, bitorder="little")
    return Channel(
        acquisition_id(message.acquisition),
        message.generation,
        message.run,
        message.udf,
        message.channel,
        message.version,
        message.kind,
        data,
        bits.view(np.bool_).reshape(nav_shape),
        message.positions_processed,
        message.positions_expected,
        message.final,
        nav_shape,
        tuple(message.sig_shape),
        manifest(message.manifest) if message.HasField("manifest") else None,
    )


def manifest(message: pb.Manifest) -> Manifest:
    return Manifest(
        message.frames_expected,
        message.frames_received,
        message.frames_processed,
        message.frames_failed,
        tuple(range(each.first, each.first + each.count) for each in message.missing_ranges),
        message.partitions_redone,
        tuple((each.partition, each.attempts, each.reason) for each in message.redone),
        {each.worker: each.partitions for each in message.workers},
        message.digest,
    )


def accounting(message: pb.Accounting) -> Accounting:
    return Accounting(
        message.expected,
        message.placed,
        message.missing,
        message.rejected,
        message.duplicates,
        message.strays,
        message.lead_in_frames,
        message.flyback_frames,
        message.tail_frames,
        message.malformed,
        message.garbage_bytes,
        message.other_messages,
        message.dropped_by_ring_full,
        tuple(range(each.first, each.first + each.count) for each in message.missing_ranges),
        message.missing_ranges_truncated,
        tuple(range(each.first, each.first + each.count) for each in message.rejected_ranges),
        tuple(range(each.first, each.first + each.count) for each in message.duplicate_ranges),
    )


def start(message: pb.Start) -> Start:
    return Start(
        acquisition_id(message.acquisition),
        message.generation,
        tuple(message.nav_shape),
        message.frames_expected,
        frame_format(message.format),
        message.frames_per_partition,
        message.acquisition_header,
        message.started_at,
    )


def end(message: pb.End) -> End:
    return End(
        acquisition_id(message.acquisition),
        message.generation,
        message.reason,
        accounting(message.accounting),
        message.seconds,
        tuple(message.nav_shape),
        message.tiles_published,
        message.tiles_dropped,
        message.frames_processed,
        message.frames_failed,
        tuple(ResultName(each.run, each.udf, each.channel) for each in message.results),
    )


def event(message: pb.Event, sent_at: int) -> Event:
    return Event(message.severity, message.code, message.text, sent_at)


def acquisition_status(message: pb.AcquisitionStatus) -> AcquisitionStatus | None:
    if len(message.acquisition) != 16:
        return None
    return AcquisitionStatus(
        acquisition_id(message.acquisition),
        message.generation,
        message.end_reason,
        accounting(message.accounting),
        tuple(message.nav_shape),
        tuple(message.sig_shape),
        message.seconds,
        message.frames_per_second,
        message.frames_processed,
    )


def run_status(message: pb.RunStatus) -> RunStatus:
    return RunStatus(
        message.run,
        tuple(UDFStatus(each.id, each.name, dict(each.parameters)) for each in message.udfs),
        message.positions_processed,
        message.positions_expected,
        message.frames_failed,
        message.error,
        message.finished,
        message.acquisitions_left,
    )


def status(message: pb.Status) -> Status:
    detector, ring, live = message.detector, message.ring, message.live
    earlier = (acquisition_status(each) for each in message.earlier_acquisitions)
    return Status(
        message.server,
        message.state,
        DetectorStatus(
            detector.source,
            detector.data_connected,
            detector.control_connected,
            detector.reason,
            detector.bytes_received,
            detector.frames_received,
        ),
        acquisition_status(message.acquisition) if message.HasField("acquisition") else None,
        acquisition_status(message.previous_acquisition) if message.HasField("previous_acquisition") else None,
        tuple(each for each in earlier if each is not None),
        RingStatus(ring.bytes_total, ring.slots_total, ring.slots_free, ring.slots_retained, ring.waits_for_space),
        LiveStatus(
            live.subscriptions, live.tiles_published, live.tiles_dropped, live.updates_published, live.bytes_pinned
        ),
        tuple(map(run_status, message.runs)),
        message.uptime_ms / 1000,
        message.acquisitions,
        message.work_peers,
        message.armed,
        message.frames_written,
        message.file_uri,
        dict(message.versions),
        tuple(map(_worker_status, message.workers)),
        _window(message.window),
    )


def _worker_status(message: pb.WorkerStatus) -> WorkerStatus:
    return WorkerStatus(
        message.name,
        message.host,
        message.is_local,
        message.threads,
        message.in_flight,
        message.done,
        message.redone,
        message.failed,
        message.rate,
        message.lag_ms / 1000,
    )


def _window(message: pb.WindowStatus) -> WindowStatus:
    held = (
        WindowEntry(
            acquisition_id(each.acquisition), each.generation, each.frames_expected, each.frames_held, each.ended
        )
        for each in message.entries
        if len(each.acquisition) == 16
    )
    return WindowStatus(message.kept, message.endless, message.first_generation, tuple(held))


def directory(message: pb.Directory) -> Directory:
    return Directory(
        message.source,
        message.control_port,
        message.live_port,
        message.work_port,
        tuple(message.topics),
        tuple(message.udfs),
    )


def snapshot(message: pb.Snapshot, payloads: Sequence[memoryview], verified: bool) -> SnapshotState:
    if len(payloads) < 2 * len(message.channels):
        raise ProtocolError(f"a snapshot of {len(message.channels)} channels with {len(payloads)} payload parts")
    return SnapshotState(
        start(message.start) if message.HasField("start") else None,
        end(message.end) if message.HasField("end") else None,
        tuple(channel(each, payloads[2 * i : 2 * i + 2], verified) for i, each in enumerate(message.channels)),
    )
