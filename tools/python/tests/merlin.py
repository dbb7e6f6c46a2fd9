"""Merlin recordings made by numpy from known images: what the server serves must be these again.

The raw encoders go pixel by pixel through the rules of the detector's manual; they share nothing with the decoders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[Any]
_BIG_ENDIAN = {"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_WORD_PIXELS = {1: 64, 6: 8, 12: 4}


@dataclass(frozen=True)
class Kind:
    """A pixel format: its name on the wire, counter depth and chips."""

    pixel_type: str
    depth: int
    layout: str = "1x1"

    @property
    def largest(self) -> int:
        return 2 if self.depth == 1 else 2**self.depth


def encode_frame(image: Images, kind: Kind) -> bytes:
    """The payload of one frame."""
    if kind.pixel_type != "R64":
        return image.astype(_BIG_ENDIAN[kind.pixel_type]).tobytes()
    rows = image if kind.layout == "1x1" else _quad_rows(image, kind.layout)
    if kind.depth == 24:
        return _raw(rows // 4096, 12) + _raw(rows % 4096, 12)
    return _raw(rows, kind.depth)


def _raw(rows: Images, depth: int) -> bytes:
    """64-bit words, big-endian, the first pixel in the lowest bits."""
    per_word = _WORD_PIXELS[depth]
    bits = 64 // per_word
    out = bytearray()
    for word in rows.reshape(-1, per_word).tolist():
        value = 0
        for place, pixel in enumerate(word):
            value |= int(pixel) << (bits * place)
        out += value.to_bytes(8, "big")
    return bytes(out)


def _quad_rows(image: Images, layout: str) -> Images:
    """Raw rows of a quad: chip 4, 3, 2, 1 side by side, the lower two turned by 180°."""
    gap = 2 if layout == "2x2G" else 0
    height, width = image.shape
    h, w = (height - gap) // 2, (width - gap) // 2
    upper_left, upper_right = image[:h, :w], image[:h, w + gap :]
    lower_left, lower_right = image[h + gap :, :w], image[h + gap :, w + gap :]
    return np.hstack([np.rot90(lower_right, 2), np.rot90(lower_left, 2), upper_right, upper_left])


def frame_header(sequence: int, image: Images, kind: Kind) -> bytes:
    height, width = image.shape
    chips = 1 if kind.layout == "1x1" else 4
    if kind.pixel_type == "R64" and chips == 4:
        height, width = height // 2 - (kind.layout == "2x2G"), 1024
    if kind.pixel_type == "R64" and kind.depth == 24:
        width *= 2
    offset = 256 + 128 * chips
    dacs = ",".join(["3RX", *(f"{dac:03d}" for dac in range(27))])
    thresholds = ",".join(f"{keV}.000000E+0" for keV in range(8))
    text = (
        f"MQ1,{sequence:06d},{offset:05d},{chips:02d},{width:04d},{height:04d},{kind.pixel_type},{kind.layout:>6},"
        f"{2**chips - 1:02X},2026-11-23 12:00:00.000000,0.001000,0,0,0,{thresholds},{','.join([dacs] * chips)},"
        f"MQ1A,2026-11-23T12:00:00.000000000Z,1000000ns,{kind.depth},"
    )
    return text.encode().ljust(offset, b"\0")


def record(folder: Path, images: Images, kind: Kind) -> Path:
    """Writes images (scan y, scan x, y, x) as a recording; gives the path of its .hdr file."""
    scan_y, scan_x = images.shape[:2]
    frames = scan_y * scan_x
    lines = [
        ("Time and Date Stamp (day, mnth, yr, hr, min, s)", "23/11/2026 12:00:00"),
        ("Assembly Size (NX1, 2X2)", kind.layout),
        ("Counter Depth (number)", str(kind.depth)),
        ("Frames in Acquisition (Number)", str(frames)),
        ("Frames per Trigger (Number)", str(scan_x)),
        ("ScanX", str(scan_x)),
        ("ScanY", str(scan_y)),
    ]
    body = "HDR,\t\r\n" + "".join(f"{key}:\t{value}\r\n" for key, value in lines) + "End\t"
    path = folder / f"{kind.pixel_type}-{kind.depth}-{kind.layout}.hdr"
    path.write_bytes(body.encode("latin-1").ljust(2048))
    with path.with_suffix(".mib").open("wb") as file:
        for number, image in enumerate(images.reshape(-1, *images.shape[2:]), 1):
            file.write(frame_header(number, image, kind))
            file.write(encode_frame(image, kind))
    return path


def images(nav_shape: tuple[int, int], sig_shape: tuple[int, int], kind: Kind, seed: int = 1) -> Images:
    """Random images in which each pixel differs; a gap between chips holds 0, as the detector's does."""
    random = np.random.default_rng(seed)
    made = random.integers(0, kind.largest, (*nav_shape, *sig_shape), dtype=np.uint64)
    if kind.pixel_type == "R64" and kind.layout == "2x2G":
        middle_y, middle_x = sig_shape[0] // 2, sig_shape[1] // 2
        made[..., middle_y - 1 : middle_y + 1, :] = 0
        made[..., :, middle_x - 1 : middle_x + 1] = 0
    return made
