"""Limits of the protocol (PROTOCOL.md, section 6) and what a receiver holds at most."""

from __future__ import annotations

VERSION = 1

REQUEST_BYTES = 64 << 10
HEADER_BYTES = 1 << 20
PAYLOAD_BYTES = 1 << 30
PARTS = 256
FRAMES_IN_TILE = 65_536
LONGEST_WINDOW = 64
SEGMENT_CHARACTERS = 128
