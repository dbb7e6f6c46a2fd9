"""DECTRIS' streams: V1 (JSON multipart) and stream2 (CBOR), by PUSH to one client.

Series numbers are the server's generations. Frames that the detector never sent are filled with zeros, since clients
take a gap in the numbers for an error; how many is told at the end of the series in the adapter's log.
"""

from __future__ import annotations

import datetime
import json
import struct
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
import zmq

from .._io.lanes import open_context
from ..frames import FrameFormat
from ..status import Start
from .source import Begin, End, Event, Frames

FORMATS = ("v1", "stream2")
COMPRESSIONS = ("lz4", "none")
_QUEUE = 64
_LOOK_MS = 100
_MULTI_DIMENSIONAL, _SELF_DESCRIBED, _COMPRESSED = 40, 55799, 56500
_TYPED_ARRAYS = {"uint8": 64, "uint16": 69, "uint32": 70, "uint64": 71}


class DectrisStream:
    """Belongs to the thread that calls `send`."""

    def __init__(self, stream: str, compression: str, host: str, port: int) -> None:
        self._context = open_context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, _QUEUE)
        self._socket.bind(f"tcp://{host}:{port or '*'}")
        self.port = int(bytes(self._socket.get(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode().rpartition(":")[2])
        self._encoding: _Encoding = StreamV1(compression) if stream == "v1" else Stream2(compression)
        self._next = 0
        self.filled = 0

    def send(self, event: Event, stopped: threading.Event) -> None:
        """Hands an event on; waits until somebody takes it, or `stopped`."""
        if isinstance(event, Begin):
            self._next = 0
            for parts in self._encoding.begin(event.start):
                self._push(parts, stopped)
        elif isinstance(event, Frames):
            self._fill(event.start, event.tile.first_position, stopped)
            frames = event.tile.decoded()
            for index, position in enumerate(event.tile.positions):
                self._push(self._encoding.image(event.start, position, frames[index], event.tile.received_at), stopped)
            self._next = event.tile.first_position + event.tile.count
        elif isinstance(event, End):
            if event.frames:
                self._fill(event.start, event.frames + event.absent, stopped)
            self._push(self._encoding.end(event.start), stopped)

    def _fill(self, start: Start, until: int, stopped: threading.Event) -> None:
        blank = np.zeros(start.format.sig_shape, start.format.dtype)
        for position in range(self._next, until):
            self.filled += 1
            self._push(self._encoding.image(start, position, blank, 0), stopped)

    def _push(self, parts: Sequence[Any], stopped: threading.Event) -> None:
        while not stopped.is_set():
            if self._socket.poll(_LOOK_MS, zmq.POLLOUT):
                self._socket.send_multipart(parts)
                return

    def close(self) -> None:
        self._context.destroy(linger=0)


class _Encoding:
    def begin(self, start: Start) -> list[Sequence[Any]]:
        raise NotImplementedError

    def image(self, start: Start, number: int, image: np.ndarray[Any, Any], at: int) -> Sequence[Any]:
        raise NotImplementedError

    def end(self, start: Start) -> Sequence[Any]:
        raise NotImplementedError


class StreamV1(_Encoding):
    def __init__(self, compression: str) -> None:
        self._compression = compression

    def begin(self, start: Start) -> list[Sequence[Any]]:
        header = {"htype": "dheader-1.0", "series": start.generation, "header_detail": "basic"}
        return [
            [_json(header)],
            [_json(detector_configuration(start.format, start.frames_expected, self._compression))],
        ]

    def image(self, start: Start, number: int, image: np.ndarray[Any, Any], at: int) -> Sequence[Any]:
        height, width = image.shape
        blob = _lz4(image) if self._compression == "lz4" else image.tobytes()
        digest = xxhash.xxh3_128_hexdigest(blob)
        return [
            _json({"htype": "dimage-1.0", "series": start.generation, "frame": number, "hash": digest}),
            _json(
                {
                    "htype": "dimage_d-1.0",
                    "shape": [width, height],
                    "type": image.dtype.name,
                    "encoding": "lz4<" if self._compression == "lz4" else "<",
                    "size": len(blob),
                }
            ),
            blob,
            _json({"htype": "dconfig-1.0", "start_time": at, "stop_time": at, "real_time": 0}),
        ]

    def end(self, start: Start) -> Sequence[Any]:
        return [_json({"htype": "dseries_end-1.0", "series": start.generation})]


class Stream2(_Encoding):
    def __init__(self, compression: str) -> None:
        self._compression = compression

    def begin(self, start: Start) -> list[Sequence[Any]]:
        height, width = start.format.sig_shape
        began = datetime.datetime.fromtimestamp(start.started_at / 1e9, datetime.timezone.utc)
        return [
            [
                _cbor(
                    {
                        "type": "start",
                        "arm_date": began,
                        "channels": ["threshold_1"],
                        "image_dtype": start.format.dtype.name,
                        "image_size_x": width,
                        "image_size_y": height,
                        "number_of_images": start.frames_expected,
                        "series_id": start.generation,
                        "series_unique_id": str(start.acquisition),
                        "user_data": {"nav_shape": list(start.nav_shape)},
                    }
                )
            ]
        ]

    def image(self, start: Start, number: int, image: np.ndarray[Any, Any], at: int) -> Sequence[Any]:
        import cbor2

        data: Any = image.tobytes()
        if self._compression == "lz4":
            data = cbor2.CBORTag(_COMPRESSED, ["lz4", image.dtype.itemsize, _lz4_of_hdf5(image)])
        array = cbor2.CBORTag(
            _MULTI_DIMENSIONAL, [list(image.shape), cbor2.CBORTag(_TYPED_ARRAYS[image.dtype.name], data)]
        )
        message = {
            "type": "image",
            "series_id": start.generation,
            "series_unique_id": str(start.acquisition),
            "image_id": number,
            "real_time": [0, 1_000_000_000],
            "start_time": [max(0, at - start.started_at), 1_000_000_000],
            "stop_time": [max(0, at - start.started_at), 1_000_000_000],
            "data": {"threshold_1": array},
        }
        return [_cbor(message)]

    def end(self, start: Start) -> Sequence[Any]:
        message = {"type": "end", "series_id": start.generation, "series_unique_id": str(start.acquisition)}
        return [_cbor(message)]


def detector_configuration(form: FrameFormat, frames: int, compression: str) -> dict[str, Any]:
    """What a DECTRIS detector would say of itself, as far as there is something to say."""
    height, width = form.sig_shape
    return {
        "auto_summation": False,
        "beam_center_x": width / 2,
        "beam_center_y": height / 2,
        "bit_depth_image": form.dtype.itemsize * 8,
        "bit_depth_readout": form.counter_depth,
        "compression": compression,
        "count_time": 0.0,
        "countrate_correction_applied": False,
        "countrate_correction_count_cutoff": 2**32 - 1,
        "description": "Merlin, by Stemwire",
        "detector_distance": 0.0,
        "detector_number": "stemwire",
        "detector_readout_time": 0.0,
        "eiger_fw_version": "",
        "element": "",
        "flatfield_correction_applied": False,
        "frame_time": 0.0,
        "nimages": 1,
        "ntrigger": frames,
        "number_of_excluded_pixels": 0,
        "photon_energy": 0.0,
        "pixel_mask_applied": False,
        "roi_mode": "",
        "sensor_material": "Si",
        "sensor_thickness": 0.0005,
        "software_version": "1.8.0",
        "threshold_energy": 0.0,
        "trigger_mode": "exte",
        "virtual_pixel_correction_applied": False,
        "wavelength": 0.0,
        "x_pixel_size": 5.5e-05,
        "y_pixel_size": 5.5e-05,
        "x_pixels_in_detector": width,
        "y_pixels_in_detector": height,
    }


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _cbor(message: dict[str, Any]) -> bytes:
    import cbor2

    encoded: bytes = cbor2.dumps(cbor2.CBORTag(_SELF_DESCRIBED, message))
    return encoded


def _lz4(image: np.ndarray[Any, Any]) -> bytes:
    import lz4.block

    compressed: bytes = lz4.block.compress(np.ascontiguousarray(image), store_size=False)
    return compressed


def _lz4_of_hdf5(image: np.ndarray[Any, Any]) -> bytes:
    """As HDF5's LZ4 filter writes it, and DECTRIS' own library expects it: size, size of a block, then each block."""
    block = _lz4(image)
    return struct.pack(">QII", image.nbytes, image.nbytes, len(block)) + block
