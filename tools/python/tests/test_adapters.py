"""Adapters as processes: unmodified clients of other protocols get exactly the frames that the detector sent."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

import stemwire
from stemwire.adapters.order import FrameOrder

from . import merlin
from .conftest import Program, Serve
from .merlin import Kind

KIND = Kind("U16", 12)
NAV, SIG = (6, 8), (32, 48)
SECONDS = 30.0

Adapt = Callable[..., dict[str, Any]]


@pytest.fixture
def images() -> np.ndarray[Any, Any]:
    return merlin.images(NAV, SIG, KIND).astype(np.uint16)


@pytest.fixture
def program(serve: Serve, tmp_path: Path, images: merlin.Images) -> Program:
    return serve(merlin.record(tmp_path, images, KIND))


@pytest.fixture
def adapt() -> Iterator[Adapt]:
    """Starts an adapter and gives the ports it tells."""
    started: list[subprocess.Popen[str]] = []

    def start(program: Program, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "stemwire.adapters", *arguments, "--connect", program.address, "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        watchdog = threading.Timer(SECONDS, process.kill)
        watchdog.start()
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        watchdog.cancel()
        assert told["event"] == "listening"
        return told

    yield start
    for each in started:
        each.terminate()
        try:
            assert each.wait(SECONDS) == 0
        finally:
            each.kill()
            assert each.stdout is not None
            each.stdout.close()


def acquire(program: Program, count: int = 1) -> None:
    with stemwire.connect(program.address) as connection:
        for _ in range(count):
            connection.run("sum", timeout=SECONDS)


@pytest.mark.parametrize(("ours", "theirs"), [("REP", "REQ"), ("PUB", "SUB"), ("PUSH", "PULL")])
def test_karabo_bridge(program: Program, adapt: Adapt, images: np.ndarray[Any, Any], ours: str, theirs: str) -> None:
    karabo_bridge = pytest.importorskip("karabo_bridge")
    ports = adapt(program, "karabo-bridge", "--port", "0", "--socket", ours, "--name", "merlin")
    with karabo_bridge.Client(f"tcp://127.0.0.1:{ports['port']}", sock=theirs, timeout=SECONDS) as client:
        if theirs == "SUB":
            # Nothing tells a SUB client that its subscription has arrived.
            client._socket.set(zmq.RCVTIMEO, 500)
            while True:
                acquire(program)
                try:
                    client.next()
                    break
                except TimeoutError:
                    continue
            client._socket.set(zmq.RCVTIMEO, int(SECONDS * 1000))
            acquire(program)
        else:
            acquire(program)
        found = np.full(images.reshape(-1, *SIG).shape, 0xFFFF, np.uint16)
        generation, trains = None, []
        while True:
            data, meta = client.next()
            told = data["merlin"]
            if theirs == "SUB" and told["image.position"][0] != 0 and generation is None:
                continue
            generation = generation or told["generation"]
            assert told["generation"] == generation
            assert told["nav_shape"] == list(NAV)
            trains.append(meta["merlin"]["timestamp.tid"])
            found[told["image.position"]] = told["image.data"]
            if told["image.position"][-1] == len(found) - 1:
                break
    np.testing.assert_array_equal(found.reshape(images.shape), images)
    assert trains == list(range(trains[0], trains[0] + len(trains)))


def test_dectris_stream2(program: Program, adapt: Adapt, images: np.ndarray[Any, Any]) -> None:
    """Decoded as DECTRIS' example client does."""
    cbor2 = pytest.importorskip("cbor2")
    lz4_block = pytest.importorskip("lz4.block")

    def typed(tag: Any) -> Any:
        data = tag.value
        dtype = {64: np.uint8, 69: np.dtype("<u2"), 70: np.dtype("<u4")}[tag.tag]
        if not isinstance(data, bytes):
            algorithm, size, compressed = data.value
            assert (data.tag, algorithm, size) == (56500, "lz4", np.dtype(dtype).itemsize)
            total, block, length = struct.unpack_from(">QII", compressed)
            assert total == block == int(np.prod(SIG)) * size
            assert length == len(compressed) - 16
            data = lz4_block.decompress(compressed[16:], uncompressed_size=total)
        return np.frombuffer(data, dtype)

    ports = adapt(program, "dectris", "--stream", "stream2", "--stream-port", "0", "--api-port", "0")
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.set(zmq.RCVTIMEO, int(SECONDS * 1000))
        pull.connect(f"tcp://127.0.0.1:{ports['stream_port']}")
        acquire(program, 2)
        for series in (1, 2):
            start = cbor2.loads(pull.recv())
            assert (start["type"], start["series_id"], start["number_of_images"]) == ("start", series, 48)
            assert (start["image_size_x"], start["image_size_y"], start["image_dtype"]) == (48, 32, "uint16")
            for number, image in enumerate(images.reshape(-1, *SIG)):
                message = cbor2.loads(pull.recv())
                assert (message["type"], message["series_id"], message["image_id"]) == ("image", series, number)
                tag = message["data"]["threshold_1"]
                shape, pixels = tag.value
                assert tag.tag == 40
                np.testing.assert_array_equal(typed(pixels).reshape(shape), image)
            assert cbor2.loads(pull.recv())["type"] == "end"


def test_dectris_v1_parts_and_rest_keys(program: Program, adapt: Adapt, images: np.ndarray[Any, Any]) -> None:
    pytest.importorskip("cbor2")
    ports = adapt(program, "dectris", "--stream-port", "0", "--api-port", "0", "--compression", "none")
    base = f"http://127.0.0.1:{ports['api_port']}"
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.set(zmq.RCVTIMEO, int(SECONDS * 1000))
        pull.connect(f"tcp://127.0.0.1:{ports['stream_port']}")
        acquire(program)
        assert json.loads(pull.recv())["htype"] == "dheader-1.0"
        configuration = json.loads(pull.recv())
        for key, value in (("x_pixels_in_detector", 48), ("y_pixels_in_detector", 32), ("bit_depth_image", 16)):
            assert configuration[key] == value
            with urllib.request.urlopen(f"{base}/detector/api/1.8.0/config/{key}", timeout=SECONDS) as answer:
                assert json.load(answer)["value"] == value
        for number, image in enumerate(images.reshape(-1, *SIG)):
            head, about, blob, _ = pull.recv_multipart()
            assert json.loads(head)["frame"] == number
            assert json.loads(about)["encoding"] == "<"
            np.testing.assert_array_equal(np.frombuffer(blob, "<u2").reshape(SIG), image)
        assert json.loads(pull.recv())["htype"] == "dseries_end-1.0"
    for url, code in ((f"{base}/detector/api/1.8.0/config/nonsense", 404), (f"{base}/", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url, timeout=SECONDS)
        assert refused.value.code == code


@pytest.mark.parametrize("passive", [True, False])
def test_libertem_live_as_a_dectris_client(
    serve: Serve, launch: Callable[..., Program], adapt: Adapt, passive: bool
) -> None:
    pytest.importorskip("libertem_live.api")
    from libertem.executor.inline import InlineJobExecutor
    from libertem.udf.sum import SumUDF
    from libertem.udf.sumsigudf import SumSigUDF
    from libertem_live.api import LiveContext

    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "8", "8", "--wait-trigger"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    merlin_ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{merlin_ports}", "--nav-shape", "8", "8")
    ports = adapt(program, "dectris", "--stream-port", "0", "--api-port", "0")
    udfs = [SumUDF(dtype="float64"), SumSigUDF()]
    with LiveContext(executor=InlineJobExecutor()) as context, stemwire.connect(program.address) as operator:
        # LiberTEM-live asks for the frames' size first.
        connection = context.make_connection("dectris").open(
            api_host="127.0.0.1", api_port=ports["api_port"], data_host="127.0.0.1", data_port=ports["stream_port"]
        )
        with connection as conn:
            if passive:
                results: dict[str, Any] = {}
                waiting = threading.Thread(target=lambda: results.update(p=conn.wait_for_acquisition(SECONDS)))
                waiting.start()
                operator.arm((8, 8), trigger="soft")
                operator.trigger()
                waiting.join()
                pending = results["p"]
                assert pending is not None
                aq = context.make_acquisition(conn=conn, pending_aq=pending, nav_shape=(8, 8))
            else:
                controller = conn.get_active_controller(trigger_mode="ints")
                aq = context.make_acquisition(
                    conn=conn, controller=controller, nav_shape=(8, 8), hooks=_Trigger(operator)
                )
            total, each = context.run_udf(dataset=aq, udf=udfs)
        exact = operator.snapshot()
        np.testing.assert_array_equal(each["intensity"].data, exact["sumsig"].data)
        np.testing.assert_array_equal(total["intensity"].data.sum(), exact["sumsig"].data.sum())


def _Trigger(operator: stemwire.Connection) -> Any:
    from libertem_live.hooks import Hooks

    class Trigger(Hooks):  # type: ignore[misc]
        def on_ready_for_data(self, env: Any) -> None:
            operator.trigger()

    return Trigger()


def read_merlin(port: int, frames: int, ready: threading.Barrier, found: list[Any]) -> None:
    """A client of the Merlin detector's data port, by its manual alone."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        ready.wait(SECONDS)
        stream = connection.makefile("rb")
        bodies = []
        while len(bodies) < frames + 1:
            prefix = stream.read(15)
            assert prefix[:4] == b"MPX,", prefix
            bodies.append(stream.read(int(prefix[4:14]) - 1))
        found.append(bodies)


def test_merlins_own_protocol_for_several_clients(
    program: Program, launch: Callable[..., Program], images: np.ndarray[Any, Any]
) -> None:
    ports = launch(*("adapt", "mpx", "--connect", program.address, "--data-port", "0", "--control-port", "0")).ports
    found: list[list[bytes]] = []
    ready = threading.Barrier(4)
    clients = [
        threading.Thread(target=read_merlin, args=(ports["data_port"], 48, ready, found), daemon=True) for _ in range(3)
    ]
    for each in clients:
        each.start()
    ready.wait(SECONDS)
    # A client counts from when the adapter has accepted it, which nothing tells: acquire until all have begun.
    for _ in range(20):
        acquire(program)
        for each in clients:
            each.join(1.0)
        if len(found) == 3:
            break
    assert len(found) == 3
    for bodies in found:
        assert bodies[0].startswith(b"HDR,")
        assert [int(body.split(b",")[1]) for body in bodies[1:]] == list(range(1, 49))
        for body, image in zip(bodies[1:], images.reshape(-1, *SIG), strict=True):
            assert body.startswith(b"MQ1,")
            offset = int(body.split(b",")[2])
            np.testing.assert_array_equal(np.frombuffer(body[offset:], ">u2").reshape(SIG), image)
    with socket.create_connection(("127.0.0.1", ports["control_port"]), timeout=SECONDS) as control:
        for name, value in ((b"IMAGEX", b"48"), (b"IMAGEY", b"32"), (b"COUNTERDEPTH", b"12")):
            text = b"GET," + name
            control.sendall(b"MPX,%010d,%s" % (len(text) + 1, text))
            answer = control.recv(4096)
            assert answer.split(b",")[2:] == [b"GET", name, value, b"0"], answer


def test_libertem_live_as_a_merlin_client(serve: Serve, launch: Callable[..., Program]) -> None:
    pytest.importorskip("libertem_live.api")
    from libertem.executor.inline import InlineJobExecutor
    from libertem.udf.sumsigudf import SumSigUDF
    from libertem_live.api import LiveContext

    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "8", "8", "--wait-trigger"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    merlin_ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{merlin_ports}", "--nav-shape", "8", "8")
    ports = launch("adapt", "mpx", "--connect", program.address, "--data-port", "0", "--control-port", "0").ports
    with LiveContext(executor=InlineJobExecutor()) as context, stemwire.connect(program.address) as operator:
        connection = context.make_connection("merlin").open(
            api_host="127.0.0.1", api_port=ports["control_port"], data_host="127.0.0.1", data_port=ports["data_port"]
        )
        with connection as conn:
            aq = context.make_acquisition(conn=conn, nav_shape=(8, 8), hooks=_ArmAndTrigger(operator))
            result = context.run_udf(dataset=aq, udf=SumSigUDF())
        exact = operator.snapshot()
        np.testing.assert_array_equal(result["intensity"].data, exact["sumsig"].data)


def _ArmAndTrigger(operator: stemwire.Connection) -> Any:
    from libertem_live.hooks import Hooks

    class ArmAndTrigger(Hooks):  # type: ignore[misc]
        def on_ready_for_data(self, env: Any) -> None:
            operator.arm((8, 8), trigger="soft")
            operator.trigger()

    return ArmAndTrigger()


def tile(first: int, count: int) -> Any:
    class Stack:
        first_position = first
        payload = bytes(10 * count)

    made: Any = Stack()
    made.count = count
    return made


def order(limit: int, *steps: Any) -> list[list[int]]:
    frames = FrameOrder(limit)
    given = []
    for step in steps:
        due = frames.skip([step]) if isinstance(step, range) else frames.add(tile(*step))
        given.append([each.first_position for each in due])
    given.append([each.first_position for each in frames.finish()])
    return given


def test_the_order_of_frames() -> None:
    assert order(999, (8, 4), (4, 4), (0, 4)) == [[], [], [0, 4, 8], []]
    assert order(999, (2, 2), range(0, 2), (7, 1)) == [[], [2], [], [7]]
    assert order(45, (2, 2), (6, 2), (8, 1), (0, 2)) == [[], [], [2], [], [6, 8]]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["nonsense"], 64), (["dectris", "--bind", "0.0.0.0"], 64), (["karabo-bridge", "--connect", "127.0.0.1:1"], 3)],
)
def test_what_cannot_be(arguments: list[str], code: int) -> None:
    from stemwire.adapters.main import main

    assert main(arguments) == code
