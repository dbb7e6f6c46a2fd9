"""A reader of DECTRIS' CBOR stream, as DECTRIS' documentation has it, with DECTRIS' own library for what is compressed:
`dectris_stream2.py PORT OUTPUT`. Reads one series and writes its images, (frame, y, x), as `images`.
"""

from __future__ import annotations

import sys
from typing import Any

import cbor2
import numpy as np
import zmq
from dectris.compression import decompress

SECONDS = 60.0


def decode_multi_dim_array(tag: Any, column_major: bool) -> Any:
    dimensions, contents = tag.value
    return contents.reshape(dimensions, order="F" if column_major else "C")


def decode_typed_array(tag: Any, dtype: str) -> Any:
    data = decode_dectris_compression(tag.value) if isinstance(tag.value, cbor2.CBORTag) else tag.value
    return np.frombuffer(data, dtype=dtype)


def decode_dectris_compression(tag: Any) -> bytes:
    algorithm, elem_size, encoded = tag.value
    return decompress(encoded, algorithm, elem_size=elem_size)


TAGS = {
    40: lambda tag: decode_multi_dim_array(tag, column_major=False),
    64: lambda tag: decode_typed_array(tag, dtype="u1"),
    69: lambda tag: decode_typed_array(tag, dtype="<u2"),
    70: lambda tag: decode_typed_array(tag, dtype="<u4"),
    85: lambda tag: decode_typed_array(tag, dtype="<f4"),
    1040: lambda tag: decode_multi_dim_array(tag, column_major=True),
    56500: decode_dectris_compression,
}


def tag_hook(decoder: Any, tag: Any) -> Any:
    known = TAGS.get(tag.tag)
    return known(tag) if known else tag


def main() -> None:
    port, output = sys.argv[1], sys.argv[2]
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.set(zmq.RCVTIMEO, int(SECONDS * 1000))
        socket.connect(f"tcp://127.0.0.1:{port}")
        print("ready", flush=True)
        start = receive(socket)
        assert start["type"] == "start", start
        images = []
        while (message := receive(socket))["type"] == "image":
            assert (message["series_id"], message["image_id"]) == (start["series_id"], len(images))
            images.append(message["data"][start["channels"][0]])
        assert message["type"] == "end", message
    assert len(images) == start["number_of_images"]
    np.savez(output, images=np.stack(images))


def receive(socket: Any) -> Any:
    found = cbor2.loads(socket.recv(), tag_hook=tag_hook)
    return found.value if isinstance(found, cbor2.CBORTag) else found


main()
