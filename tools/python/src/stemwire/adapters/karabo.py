"""karabo-bridge 2.2: what `karabo_bridge.Client` reads, by REQ, SUB or PULL.

A train is a stack of frames. Its id counts the stacks of this adapter, from 1. The one source has `image.data`
(frame, y, x), `image.position` (scan positions, flat, slow axis first), `acquisition`, `nav_shape` and `generation`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import zmq

from .._io.lanes import open_context
from .source import Begin, End, Event, Frames

_SOCKETS = {"REP": zmq.REP, "PUB": zmq.PUB, "PUSH": zmq.PUSH}
_QUEUE = 4
_LOOK_MS = 100


class KaraboBridge:
    """Belongs to the thread that calls `send`."""

    def __init__(self, socket: str, host: str, port: int, name: str) -> None:
        self._context = open_context()
        self._pattern = socket
        self._socket = self._context.socket(_SOCKETS[socket])
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, _QUEUE)
        self._socket.bind(f"tcp://{host}:{port or '*'}")
        self.port = int(bytes(self._socket.get(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode().rpartition(":")[2])
        self._name = name
        self._train = 0
        self.malformed = 0

    def send(self, event: Event, stopped: threading.Event) -> None:
        """Hands an event on; waits until somebody takes it, or `stopped`."""
        if isinstance(event, (Begin, End)):
            return
        self._train += 1
        parts = self._message(event)
        if self._pattern == "REP" and not self._asked(stopped):
            return
        while not stopped.is_set():
            if self._socket.poll(_LOOK_MS, zmq.POLLOUT):
                self._socket.send_multipart(parts, copy=False)
                return

    def _asked(self, stopped: threading.Event) -> bool:
        """Waits for a request, which is b"next"."""
        while not stopped.is_set():
            if not self._socket.poll(_LOOK_MS, zmq.POLLIN):
                continue
            if self._socket.recv() == b"next":
                return True
            self.malformed += 1
            self._socket.send(b'error: the only request is "next"')
        return False

    def _message(self, event: Frames) -> Sequence[Any]:
        import msgpack

        tile = event.tile
        seconds, rest = divmod(tile.received_at, 1_000_000_000)
        metadata = {
            "source": self._name,
            "timestamp": tile.received_at / 1e9,
            "timestamp.sec": str(seconds),
            "timestamp.frac": f"{rest:09}".ljust(18, "0"),
            "timestamp.tid": self._train,
        }
        data = {
            "acquisition": str(tile.acquisition),
            "generation": tile.generation,
            "nav_shape": list(tile.nav_shape),
            "image.count": tile.count,
        }
        pack = msgpack.Packer(use_bin_type=True).pack
        parts: list[Any] = [pack({"source": self._name, "content": "msgpack", "metadata": metadata}), pack(data)]
        for path, array in (
            ("image.data", tile.decoded()),
            ("image.position", np.arange(tile.first_position, tile.first_position + tile.count, dtype=np.uint64)),
        ):
            head = {"source": self._name, "content": "array", "path": path}
            parts += [pack({**head, "dtype": str(array.dtype), "shape": array.shape}), array.data]
        return parts

    def close(self) -> None:
        self._context.destroy(linger=0)
