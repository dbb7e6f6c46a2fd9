"""A client of the Merlin detector's data port, by the detector's manual alone: `merlin.py PORT FRAMES OUTPUT`.

Reads one acquisition; writes what came behind the frame headers, (frame, byte), as `pixels`, and the frames' numbers.
"""

from __future__ import annotations

import socket
import sys

import numpy as np

PREFIX = 15
SECONDS = 60.0


def main() -> None:
    port, frames, output = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        stream = connection.makefile("rb")
        print("ready", flush=True)
        head = read(stream)
        assert head.startswith(b"HDR,"), head[:40]
        bodies = [read(stream) for _ in range(frames)]
    fields = [body[:40].split(b",") for body in bodies]
    assert all(each[0] == b"MQ1" for each in fields)
    pixels = [np.frombuffer(body[int(each[2]) :], np.uint8) for body, each in zip(bodies, fields, strict=True)]
    np.savez(output, pixels=np.stack(pixels), numbers=[int(each[1]) for each in fields])


def read(stream: object) -> bytes:
    """The body of the next message."""
    prefix = stream.read(PREFIX)  # type: ignore[attr-defined]
    if len(prefix) < PREFIX or not prefix.startswith(b"MPX,"):
        raise SystemExit(f"no MPX message: {prefix!r}")
    return stream.read(int(prefix[4:14]) - 1)  # type: ignore[attr-defined, no-any-return]


main()
