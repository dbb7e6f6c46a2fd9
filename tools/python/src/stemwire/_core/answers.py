"""Answers about the detector, series and the past, as users see them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import numpy as np

from .._wire import stemwire_pb2 as pb
from ..errors import ProtocolError
from ..reports import (
    Acquired,
    Check,
    CommandLine,
    Finding,
    HistoryEntry,
    HistoryResult,
    HistoryRun,
    Picture,
    Setting,
)
from ..status import UDFStatus
from . import messages


def settings(listed: Sequence[pb.DetectorSetting]) -> tuple[Setting, ...]:
    return tuple(
        Setting(each.name, each.asked, each.value, each.differs, each.detector_code, each.message) for each in listed
    )


def command_lines(message: pb.CommandFileReply) -> tuple[CommandLine, ...]:
    return tuple(CommandLine(each.request, each.value) for each in message.lines)


def check(message: pb.CheckReport) -> Check:
    return Check(
        message.ok,
        tuple(Finding(each.severity, each.code, each.text) for each in message.findings),
        tuple(message.nav_shape),
        tuple(message.sig_shape),
        np.dtype(message.dtype) if message.dtype in messages.DTYPE_NAMES else None,
        message.counter_depth,
        message.frames_needed,
        message.frames_announced,
        message.triggers,
        message.exposure_seconds,
        message.dead_time_seconds,
        message.frame_seconds,
        message.seconds,
        message.frame_bytes,
        message.bytes,
        message.disk_bytes_free,
    )


def acquired(message: pb.ScanReport) -> Acquired:
    found = (messages.acquisition_status(each) for each in message.acquisitions)
    return Acquired(
        tuple(each for each in found if each is not None), message.run, message.done, settings(message.differing)
    )


def history(message: pb.History) -> tuple[HistoryEntry, ...]:
    return tuple(each for each in map(_entry, message.entries) if each is not None)


def _entry(message: pb.HistoryEntry) -> HistoryEntry | None:
    acquisition = messages.acquisition_status(message.acquisition)
    if acquisition is None:
        return None
    runs = (
        HistoryRun(
            run.run,
            tuple(UDFStatus(each.id, each.name, dict(each.parameters)) for each in run.udfs),
            run.error,
            tuple(
                HistoryResult(each.udf, each.channel, each.dtype, tuple(each.shape), each.manifest.digest)
                for each in run.results
            ),
        )
        for run in message.runs
    )
    return HistoryEntry(
        message.number,
        message.server,
        message.session,
        message.started_at,
        message.ended_at,
        acquisition,
        message.acquisition_header,
        message.dtype,
        tuple(runs),
        tuple(message.files),
    )


def picture(message: pb.Image, payloads: Sequence[memoryview], verified: bool) -> Picture:
    if len(payloads) != 1:
        raise ProtocolError(f"a picture with {len(payloads)} payload parts; it has one")
    if verified:
        messages.verify(payloads[0], message.checksum, "the picture")
    return Picture(
        bytes(payloads[0]),
        message.format,
        message.media_type,
        message.dtype,
        tuple(message.shape),
        uuid.UUID(bytes=message.acquisition) if len(message.acquisition) == 16 else None,
        message.generation,
    )
