"""Tiles received by the Python client, against bare pyzmq receiving the same messages, in one run.

    python tools/python/bench/receive.py [--seconds S] [--rounds N] [--frames N] [--verify]

Both ends are on this machine, over TCP. A process publishes tiles as a server does, as fast as they are taken; the
client (`tiles()`, with every frame viewed as an array) and a bare SUB socket receive in turn. Printed are the
medians of the rounds, and the median of the rounds' ratios; that of processor time also tells something on a machine
that has other things to do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import xxhash
import zmq

import stemwire
from stemwire._wire import stemwire_pb2 as pb

WIDTH = 256
PIXELS = WIDTH * WIDTH * 2
OFFSET = 15 + 384
STRIDE = OFFSET + PIXELS
ACQUISITION = bytes(range(16))
SESSION = b"0123456789abcdef"
NAV_SHAPE = [1 << 20, 1 << 10]
WARM_UP = 50


def answer(socket: zmq.Socket[bytes], live_port: int) -> None:
    """The control socket, as far as `tiles()` asks it."""
    running = pb.AcquisitionStatus(acquisition=ACQUISITION, generation=1, nav_shape=NAV_SHAPE)
    status = pb.Status(state="acquiring", acquisition=running)
    directory = pb.Directory(source="bench", live_port=live_port)
    while True:
        peer, *_, body = socket.recv_multipart()
        request = pb.Request.FromString(body)
        reply = pb.Reply(id=request.id, session=SESSION)
        if request.HasField("hello"):
            reply.welcome.CopyFrom(pb.Welcome(version=1, session=SESSION, directory=directory, status=status))
        else:
            reply.status.CopyFrom(status)
        socket.send_multipart([peer, reply.SerializeToString()])


def publish(pipe: Connection, frames: int) -> None:
    """A server whose acquisition does not end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    control, live = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    live.set(zmq.SNDHWM, 8)
    live.set(zmq.XPUB_NODROP, 1)
    live_port = live.bind_to_random_port("tcp://127.0.0.1")
    control_port = control.bind_to_random_port("tcp://127.0.0.1")
    threading.Thread(target=answer, args=(control, live_port), daemon=True).start()
    pipe.send((control_port, live_port))
    payload = os.urandom(STRIDE * frames)
    form = pb.FrameFormat(
        pixel_type="U16",
        counter_depth=12,
        layout="1x1",
        header_width=WIDTH,
        header_height=WIDTH,
        chip_count=1,
        data_offset=384,
        payload_bytes=PIXELS,
        sig_shape=[WIDTH, WIDTH],
        dtype="uint16",
    )
    header = pb.LiveHeader(
        session=SESSION,
        tile=pb.Tile(
            acquisition=ACQUISITION,
            generation=1,
            count=frames,
            format=form,
            stride=STRIDE,
            header_offset=15,
            pixel_offset=OFFSET,
            payload_bytes=len(payload),
            checksum=xxhash.xxh3_64_intdigest(payload),
            nav_shape=NAV_SHAPE,
        ),
    )
    while True:
        header.sequence += 1
        header.tile.first_position = header.sequence * frames
        live.send_multipart([b"1/tile/bench/", header.SerializeToString(), payload], copy=False)


@dataclass
class Rate:
    """Messages a second, and processor time of this process for one."""

    per_second: float
    processor: float


class Meter:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._count = 0
        self._processor = time.process_time()
        self._started = time.perf_counter()

    def another(self) -> bool:
        """Counts a message; False when the time is over."""
        self._count += 1
        return time.perf_counter() - self._started < self._seconds

    def rate(self) -> Rate:
        elapsed = time.perf_counter() - self._started
        return Rate(self._count / elapsed, (time.process_time() - self._processor) / self._count)


def measure_client(control_port: int, seconds: float, verify: bool) -> Rate:
    with (
        stemwire.connect(f"127.0.0.1:{control_port}", verify=verify) as connection,
        connection.tiles(repair=False) as tiles,
    ):
        for _ in range(WARM_UP):
            next(tiles)
        meter = Meter(seconds)
        for tile in tiles:
            assert tile.frames.shape[1:] == (WIDTH, WIDTH)
            if not meter.another():
                break
        return meter.rate()


def measure_bare(live_port: int, seconds: float) -> Rate:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 256)
        socket.set(zmq.LINGER, 0)
        socket.subscribe(b"1/tile/bench/")
        socket.connect(f"tcp://127.0.0.1:{live_port}")
        for _ in range(WARM_UP):
            socket.recv_multipart(copy=False)
        meter = Meter(seconds)
        while True:
            socket.recv_multipart(copy=False)
            if not meter.another():
                return meter.rate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=8, help="in a tile; 256 × 256 pixels of 16 bit each")
    parser.add_argument("--verify", action="store_true", help="compare checksums, as for a server on another machine")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=publish, args=(there, options.frames), daemon=True)
    server.start()
    control_port, live_port = here.recv()
    size = STRIDE * options.frames
    client: list[Rate] = []
    bare: list[Rate] = []
    try:
        for _ in range(options.rounds):
            bare.append(measure_bare(live_port, options.seconds))
            client.append(measure_client(control_port, options.seconds, options.verify))
    finally:
        server.terminate()
        server.join()
    for name, rates in (("bare pyzmq", bare), ("stemwire", client)):
        rate = statistics.median(each.per_second for each in rates)
        processor = statistics.median(each.processor for each in rates)
        print(
            f"{name:11} {rate:7.0f} tiles/s {rate * size / 1e9:6.2f} GB/s {processor * 1e6:7.0f} µs of processor a tile"
        )
    pairs = list(zip(client, bare, strict=True))
    rate = statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs)
    processor = statistics.median(theirs.processor / ours.processor for ours, theirs in pairs)
    print(f"ratio of rates {rate:.2f}, of processor time {processor:.2f}; tiles of {size} bytes, {len(pairs)} rounds")


if __name__ == "__main__":
    main()
