"""Writes Merlin data sets (.hdr and .mib) of seeded random images with structure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from merlin_formats import CHIP, GAP, Images, MerlinFormat

HEADER_FILE_BYTES = 2048
SHUTTER = timedelta(milliseconds=1)
FRAME_PERIOD = timedelta(microseconds=2094)
SITE_OFFSET = timedelta(hours=1)
"""Local time of the imagined site against UTC."""
FIRST_FRAME = datetime(2024, 4, 25, 13, 50, 41, 49778, tzinfo=timezone.utc)
THRESHOLDS_KEV = (20.0, 511.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
DACS = "071,511,000,000,000,000,000,000,175,010,150,205,190,000,117,100,101,030,050,128,128,063,255,137,192,511,511"


@dataclass(frozen=True)
class MerlinDataSet:
    """A written data set and the images in it."""

    header_path: Path
    format: MerlinFormat
    nav_shape: tuple[int, int]
    images: Images
    """(frames, y, x); frame i belongs to scan position (i // nav x, i % nav x)."""

    @property
    def sum(self) -> NDArray[np.uint64]:
        """Sum over the scan, (y, x)."""
        total: NDArray[np.uint64] = np.sum(self.images, axis=0, dtype=np.uint64)
        return total

    @property
    def sumsig(self) -> NDArray[np.uint64]:
        """Sum of each frame, (nav y, nav x)."""
        return np.sum(self.images, axis=(1, 2), dtype=np.uint64).reshape(self.nav_shape)


def write_data_set(
    folder: Path,
    format: MerlinFormat,
    nav_shape: tuple[int, int],
    seed: int,
    *,
    frames_per_file: int | None = None,
    scan_keys: bool = True,
) -> MerlinDataSet:
    """Writes `<format>.hdr` and its .mib file or files into `folder`.

    `scan_keys` puts ScanX and ScanY into the header, as newer detector software does.
    """
    images = make_images(format, nav_shape, seed)
    frames = images.shape[0]
    header_path = folder / f"{format.name}.hdr"
    header_path.write_bytes(acquisition_header(format, nav_shape, scan_keys=scan_keys))
    messages = frame_messages(format, images)
    if frames_per_file is None:
        messages.tofile(header_path.with_suffix(".mib"))
    else:
        # Unpadded numbers: the names' alphabetical order (1, 10, 2) is not the order of the frames.
        for number, first in enumerate(range(0, frames, frames_per_file), start=1):
            messages[first : first + frames_per_file].tofile(folder / f"{format.name}_{number}.mib")
    return MerlinDataSet(header_path, format, nav_shape, images)


def make_images(format: MerlinFormat, nav_shape: tuple[int, int], seed: int) -> Images:
    """A noisy disk that moves with the scan position, on a background without any symmetry.

    No two frames and no two orientations of a frame have equal sums, and the largest value occurs.
    """
    rng = np.random.default_rng([seed, format.depth, format.chips, int(format.has_gap), int(format.is_raw)])
    height, width = format.sig_shape
    frames = nav_shape[0] * nav_shape[1]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    background = 0.1 + 0.3 * x / width + 0.2 * (y / height) ** 2
    images = np.empty((frames, height, width), dtype=format.dtype)
    top = float(format.largest_value)
    for frame in range(frames):
        scan_y, scan_x = divmod(frame, nav_shape[1])
        centre_y = height * (0.45 + 0.02 * scan_y)
        centre_x = width * (0.55 - 0.01 * scan_x)
        disk = (y - centre_y) ** 2 + (x - centre_x) ** 2 < (0.2 * height) ** 2
        expectation = np.where(disk, 1.0, background * (0.5 + 0.5 * frame / frames))
        noise = rng.random((height, width), dtype=np.float64)
        images[frame] = np.minimum(noise * expectation * (top + 1), top).astype(format.dtype)
        images[frame, frame % height, (3 * frame) % width] = format.largest_value
    if format.is_raw and format.has_gap:
        # The chips do not know the gap: what is decoded from raw frames has zeros there.
        images[:, CHIP : CHIP + GAP, :] = 0
        images[:, :, CHIP : CHIP + GAP] = 0
    return images


def frame_messages(format: MerlinFormat, images: Images) -> NDArray[np.uint8]:
    """Frame headers and payloads, (frames, data offset + payload bytes), as in a .mib file."""
    payloads = format.encode(images)
    messages = np.zeros((images.shape[0], format.data_offset + payloads.shape[1]), dtype=np.uint8)
    for index, message in enumerate(messages):
        text = frame_header(format, index + 1)
        message[: len(text)] = np.frombuffer(text, dtype=np.uint8)
    messages[:, format.data_offset :] = payloads
    return messages


def frame_header(format: MerlinFormat, sequence_number: int) -> bytes:
    """The text of a frame's header, without its NUL padding."""
    width, height = format.header_size
    taken = FIRST_FRAME + (sequence_number - 1) * FRAME_PERIOD
    shutter_ns = SHUTTER // timedelta(microseconds=1) * 1000
    fields = [
        "MQ1",
        f"{sequence_number:06d}",
        f"{format.data_offset:05d}",
        f"{format.chips:02d}",
        f"{width:04d}",
        f"{height:04d}",
        format.pixel_type,
        f"{format.layout:>6}",
        f"{(1 << format.chips) - 1:02X}",
        (taken + SITE_OFFSET).strftime("%Y-%m-%d %H:%M:%S.%f"),
        f"{SHUTTER.total_seconds():.6f}",
        "0",
        "0",
        "0",
        *(_threshold(value) for value in THRESHOLDS_KEV),
    ]
    for _ in range(format.chips):
        fields += ["3RX", DACS]
    fields += ["MQ1A", taken.strftime("%Y-%m-%dT%H:%M:%S.%f") + "732Z", f"{shutter_ns}ns", str(format.depth)]
    text = (",".join(fields) + ",").encode("ascii")
    if len(text) > format.data_offset:
        raise ValueError(f"frame header of {len(text)} bytes does not fit into {format.data_offset}")
    return text


def acquisition_header(format: MerlinFormat, nav_shape: tuple[int, int], *, scan_keys: bool) -> bytes:
    """The 2048 bytes of the .hdr file, which are also the acquisition header's body on the wire."""
    absent = [" - "] * (4 - format.chips)
    entries = [
        ("Time and Date Stamp (day, mnth, yr, hr, min, s)", "25/04/2024 14:50:41"),
        ("Chip ID", ",".join(["W531_A1", "W531_B2", "W531_C3", "W531_D4"][: format.chips] + absent)),
        ("Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)", "Medipix 3RX"),
        ("Assembly Size (NX1, 2X2)", f"{format.layout:>6}"),
        ("Chip Mode  (SPM, CSM, CM, CSCM)", "SPM"),
        ("Counter Depth (number)", str(format.depth)),
        ("Gain", "SLGM"),
        ("Active Counters", "Alternating"),
        ("Thresholds (keV)", ",".join(_threshold(value) for value in THRESHOLDS_KEV)),
        ("DACs", "; ".join([DACS] * format.chips)),
        ("bpc File", ",".join(["c:\\MERLIN_Quad_Config\\a.1"] * format.chips + [""] * (4 - format.chips))),
        ("DAC File", ",".join(["c:\\MERLIN_Quad_Config\\a.dacs"] * format.chips + [""] * (4 - format.chips))),
        ("Gap Fill Mode", "None"),
        ("Flat Field File", "None"),
        ("Dead Time File", "Dummy (C:\\<NUL>\\)"),
        ("Acquisition Type (Normal, Th_scan, Config)", "Normal"),
        ("Frames in Acquisition (Number)", str(nav_shape[0] * nav_shape[1])),
        ("Frames per Trigger (Number)", str(nav_shape[1])),
        ("Trigger Start (Positive, Negative, Internal)", "Internal"),
        ("Trigger Stop (Positive, Negative, Internal)", "Internal"),
        ("Sensor Bias (V, µA)", "120 V, 1 µA"),
        ("Sensor Polarity (Positive, Negative)", "Positive"),
        ("Temperature (C)", "Board Temp 37.384033 Deg C"),
        ("Humidity (%)", "Board Humidity 1.331848"),
        ("Medipix Clock (MHz)", "120MHz"),
        ("Readout System", "Merlin Quad" if format.is_quad else "Merlin 1"),
        ("Software Version", "1.5.0.197"),
    ]
    if scan_keys:
        entries += [("ScanX", str(nav_shape[1])), ("ScanY", str(nav_shape[0]))]
    lines = ["HDR,\t", *(f"{key}:\t{value}" for key, value in entries), "End\t"]
    body = "\r\n".join(lines).encode("latin-1")
    if len(body) > HEADER_FILE_BYTES:
        raise ValueError(f"acquisition header of {len(body)} bytes does not fit into {HEADER_FILE_BYTES}")
    return body.ljust(HEADER_FILE_BYTES)


def _threshold(value: float) -> str:
    """`3.500000E+1`: the detector writes exponents without leading zeros."""
    mantissa, exponent = f"{value:.6E}".split("E")
    return f"{mantissa}E{int(exponent):+d}"
