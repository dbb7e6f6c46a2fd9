"""Topics of the live stream: every segment ends with a slash, so that no subscription matches a longer name."""

from __future__ import annotations

import re

from ..errors import ProtocolError
from .limits import SEGMENT_CHARACTERS, VERSION

_SEGMENT = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % SEGMENT_CHARACTERS)
_CACHE: dict[bytes, tuple[str, ...]] = {}
_CACHE_LIMIT = 1024


def topic(*segments: str) -> bytes:
    """`topic("tile", "merlin")` is `1/tile/merlin/`."""
    parts = [str(VERSION).encode(), *(segment.encode("ascii", "replace") for segment in segments)]
    for part in parts:
        if not _SEGMENT.fullmatch(part):
            raise ValueError(f"{part.decode()!r} cannot be in a topic: letters, digits, '.', '_', '-', at most 128")
    return b"".join(part + b"/" for part in parts)


def parse_topic(text: bytes) -> tuple[str, ...]:
    """The segments behind the version: `("tile", "merlin")`."""
    known = _CACHE.get(text)
    if known is not None:
        return known
    segments = text.split(b"/")
    if len(segments) < 3 or segments[-1] or not all(_SEGMENT.fullmatch(each) for each in segments[:-1]):
        raise ProtocolError(f"{text[:80]!r} is not a topic")
    if segments[0] != str(VERSION).encode():
        raise ProtocolError(f"topic {text[:80]!r} is of another version than {VERSION}")
    parsed = tuple(each.decode("ascii") for each in segments[1:-1])
    if len(_CACHE) < _CACHE_LIMIT:
        _CACHE[text] = parsed
    return parsed
