"""Against a real server: every frame and every sum, bit by bit, as plain numpy has them."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import stemwire
from stemwire import Connection

from . import merlin
from .conftest import Program, Serve, final_results
from .merlin import Kind

KINDS = [
    (Kind("U08", 6), (32, 48)),
    (Kind("U16", 12), (32, 48)),
    (Kind("U32", 24), (32, 48)),
    *((Kind("R64", depth), (256, 256)) for depth in (1, 6, 12, 24)),
    *((Kind("R64", depth, "2x2"), (512, 512)) for depth in (1, 6, 12)),
    (Kind("R64", 6, "2x2G"), (514, 514)),
]


def acquire(connection: Connection) -> None:
    connection.arm(trigger="soft")
    connection.trigger()


def gather(tiles: stemwire.TileIterator, images: npt.NDArray[np.uint64]) -> None:
    """Each frame is the image of its scan position, and each comes once."""
    flat = images.reshape(-1, *images.shape[2:])
    seen = np.zeros(len(flat), int)
    for tile in tiles:
        seen[tile.positions] += 1
        assert np.array_equal(tile.frames, flat[tile.positions.start : tile.positions.stop])
        assert tile.nav_shape == images.shape[:2]
    assert (seen == 1).all()


@pytest.mark.parametrize(("kind", "sig_shape"), KINDS, ids=str)
def test_frames_and_sums_are_exact(serve: Serve, tmp_path: Path, kind: Kind, sig_shape: tuple[int, int]) -> None:
    images = merlin.images((3, 4), sig_shape, kind)
    program = serve(merlin.record(tmp_path, images, kind))
    with stemwire.connect(program.address, verify=True) as connection:
        tiles = connection.tiles(timeout=10)
        with connection.scan({"sum": "sum", "sumsig": "sumsig", "bf": stemwire.disk(r=10)}, timeout=10) as scan:
            gather(tiles, images)
            results = scan.result
        assert tiles.lost == ()
        assert tiles.accounting is not None
        assert tiles.accounting.complete
        assert tiles.start is not None
        assert tiles.start.header["ScanX"] == "4"
        assert np.array_equal(results["sum"].data, images.sum(axis=(0, 1)))
        assert np.array_equal(results["sumsig"].data, images.sum(axis=(2, 3)))
        y, x = np.ogrid[: sig_shape[0], : sig_shape[1]]
        disk = (y - sig_shape[0] // 2) ** 2 + (x - sig_shape[1] // 2) ** 2 <= 10**2
        assert np.array_equal(results["bf"].data, (images * disk).sum(axis=(2, 3)))
        assert results.complete
        assert results.coverage == 1.0
        assert results["bf"].valid.all()
        fetched = np.concatenate([tile.decoded() for tile in connection.fetch(2, 7)])
        assert np.array_equal(fetched, images.reshape(-1, *sig_shape)[2:9])


def test_frames(server: Connection) -> None:
    frames = server.frames()
    acquire(server)
    found = dict(frames)
    assert sorted(found) == list(range(256))
    total = np.sum(list(found.values()), axis=0, dtype=np.uint64)
    snapshot = final_results(server)
    assert np.array_equal(snapshot["sum"].data, total)
    assert snapshot.complete


def test_a_slow_reader_gets_every_frame_by_repair(serve: Serve) -> None:
    program = serve("synthetic", "--nav-shape", "32", "32")
    with stemwire.connect(program.address) as connection:
        tiles = connection.tiles(memory=1 << 20, timeout=10)
        acquire(connection)
        total, seen = np.zeros((256, 256), np.uint64), 0
        fetched = 0
        for number, tile in enumerate(tiles):
            if number == 3:
                # The live stream does not wait; what it left out has to be fetched.
                deadline = time.monotonic() + 60
                while connection.status().acquisition is not None:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            total += tile.frames.sum(axis=0, dtype=np.uint64)
            seen += len(tile)
            fetched += tile.fetched
        assert fetched > 0
        assert seen == tiles.received == 1024
        assert tiles.lost == ()
        assert np.array_equal(final_results(connection)["sum"].data, total)


def test_a_reader_that_the_server_forgot_goes_on(server: Connection) -> None:
    acquire(server)
    list(server.updates())
    tiles = server.fetch()
    first = next(tiles)
    time.sleep(5.6)
    positions = [position for tile in (first, *tiles) for position in tile.positions]
    assert sorted(set(positions)) == list(range(256))


def test_joining_late_is_repaired_from_the_start(serve: Serve, launch: Callable[..., Program]) -> None:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "16", "16", "--wait-trigger", "--dwelltime", "2000"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "16", "16")
    with stemwire.connect(program.address) as connection:
        acquire(connection)
        early = connection.tiles(timeout=10)
        next(early)
        time.sleep(0.1)
        assert connection.status().state == "acquiring"
        late = connection.tiles(timeout=10)
        joined = next(connection.updates(timeout=10))
        assert joined.end is None
        positions = [position for tile in late for position in tile.positions]
        assert sorted(positions) == list(range(256))
        assert late.start is None or late.start.nav_shape == (16, 16)


def test_missing_frames_are_told(serve: Serve, launch: Callable[..., Program]) -> None:
    simulator = launch(
        *("sim", "self-identifying", "--nav-shape", "16", "16", "--wait-trigger", "--faults", "drop-at=5+17+30-40"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "16", "16", "--idle-limit", "0.5")
    missing = {4, 16, *range(29, 40)}
    with stemwire.connect(program.address) as connection:
        tiles = connection.tiles(timeout=10)
        with connection.scan("sumsig", timeout=10) as scan:
            positions = {position for tile in tiles for position in tile.positions}
            results = scan.result
        assert positions == set(range(256)) - missing
        assert tiles.lost == ()
        assert results.accounting is not None
        assert {position for each in results.accounting.missing_ranges for position in each} == missing
        assert (results.accounting.missing, results.accounting.unaccounted) == (len(missing), 0)
        channel = results["sumsig"]
        assert set(np.flatnonzero(~channel.valid)) == missing
        assert channel.masked.mask.sum() == len(missing)
        assert results.final
        assert not results.complete
        fetched = connection.fetch(0, 20)
        assert {position for tile in fetched for position in tile.positions} == set(range(20)) - missing
        assert {(each.positions, each.reason) for each in fetched.unavailable} == {
            (range(4, 5), "missing"),
            (range(16, 17), "missing"),
        }


def test_updates_are_states(server: Connection) -> None:
    updates = server.updates(max_rate=50)
    acquire(server)
    states = list(updates)
    assert states[-1].complete
    versions = [state["sum"].version for state in states]
    assert versions == sorted(versions)
    assert states[-1].start is not None
    assert list(states[-1]) == ["sum.intensity", "sumsig.intensity", "monitor.intensity"]
    assert not any(state.final for state in states[:-1])


def test_scan_can_be_left_early(server: Connection) -> None:
    with server.scan("sum", trigger=None) as scan:
        name = scan.run
        assert name in [each.run for each in server.runs()]
    # The run was stopped; one that was stopped may stay in the list, finished.
    assert all(each.finished for each in server.runs() if each.run == name)
    server.abort()
    results = server.run("sum")
    assert results.complete


def test_a_scan_that_is_aborted_ends(server: Connection) -> None:
    with server.scan("sum", trigger=None, timeout=10) as scan:
        while server.status().previous_acquisition is None:
            server.abort()
        results = scan.result
    assert results.end is not None
    assert results.end.reason == "aborted"
    assert not results.complete


def test_run_with_shape_and_several_acquisitions(server: Connection) -> None:
    assert server.run("sumsig", nav_shape=(8, 4))["sumsig"].data.shape == (8, 4)
    run = server.start_run({"a": "sum", "b": "sumsig"}, acquisitions=2)
    updates = server.updates(run, acquisitions=2, timeout=10)
    tiles = server.tiles(acquisitions=2, timeout=10)
    finals = []
    for _ in range(2):
        server.arm((8, 8), frames=64, trigger="soft")
        server.trigger()
        finals.append(next(state for state in updates if state.final))
    assert [each["b"].data.shape for each in finals] == [(8, 8), (8, 8)]
    assert finals[0].acquisition != finals[1].acquisition
    assert list(updates) == []
    assert sum(len(tile) for tile in tiles) == 128


def test_passive_run_and_joining(serve: Serve, launch: Callable[..., Program]) -> None:
    simulator = launch(
        *("sim", "synthetic", "--nav-shape", "16", "16", "--wait-trigger", "--dwelltime", "2000"),
        *("--control-port", "0", "--data-port", "0", "--trigger-port", "0"),
    )
    ports = f"{simulator.ports['control_port']},{simulator.ports['data_port']}"
    program = serve(f"merlin://127.0.0.1:{ports}", "--nav-shape", "16", "16")
    with stemwire.connect(program.address) as connection, connection.scan("sumsig", arm=False, timeout=10) as scan:
        acquire(connection)
        next(scan.updates())
        joined = connection.run("sumsig", arm=False, join_current=True, timeout=10)
        whole = scan.result
        assert whole.complete
        assert joined.final
        assert joined.acquisition == whole.acquisition
        assert 0 < joined.coverage <= 1
        valid = joined["sumsig"].valid
        assert np.array_equal(joined["sumsig"].data[valid], whole["sumsig"].data[valid])


def test_requests(server: Connection) -> None:
    assert server.status().state == "idle"
    assert server.directory().source == "merlin"
    assert "com" in server.udfs
    server.set("COUNTERDEPTH", 6)
    assert server.get("COUNTERDEPTH") == "6"
    server.set("CONTINUOUSRW", True)
    assert server.get("CONTINUOUSRW") == "1"
    server.cmd("RESET")
    run = server.start_run("sum", run="mine")
    assert run == "mine"
    assert "mine" in [each.run for each in server.runs()]
    server.stop_run("mine")


def test_refusals(server: Connection) -> None:
    with pytest.raises(stemwire.DetectorRefused, match="NOPE") as refused:
        server.get("NOPE")
    assert refused.value.detector_code == 2
    with pytest.raises(stemwire.InvalidArgument, match="there is no UDF"):
        server.run("nope")
    with pytest.raises(ValueError, match="is not a number"):
        server.run("disk:r=much")
    with pytest.raises(stemwire.NotFound, match="no run"):
        server.stop_run("nope")
    with pytest.raises(stemwire.NotFound, match="no acquisition"):
        server.snapshot()
    with pytest.raises(stemwire.NotFound):
        server.fetch()
    with pytest.raises(stemwire.InvalidArgument, match="limit"):
        server.start_run({f"u{i}": stemwire.udf("disk", r=i) for i in range(4000)})


def test_requests_from_many_threads(server: Connection) -> None:
    states: list[str] = []
    threads = [threading.Thread(target=lambda: states.append(server.status().state)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["idle"] * 20


def test_iterators_close_themselves(server: Connection) -> None:
    for _ in range(50):
        server.tiles()
    with server.tiles() as tiles:
        pass
    with pytest.raises(stemwire.ConnectionClosed):
        next(tiles)
    updates = server.updates()
    server.close()
    server.close()
    with pytest.raises(stemwire.ConnectionClosed):
        next(updates)
    with pytest.raises(stemwire.ConnectionClosed):
        server.status()


def test_iterators_keep_their_connection(serve: Serve) -> None:
    program = serve("synthetic", "--nav-shape", "8", "8")
    tiles = stemwire.connect(program.address).tiles(timeout=10)
    updates = stemwire.connect(program.address).scan("sumsig", timeout=10).updates()
    gc.collect()
    assert sum(map(len, tiles)) == 64
    assert list(updates)[-1].complete


def test_results_as_files_and_xarray(server: Connection, tmp_path: Path) -> None:
    results = server.run({"bf": stemwire.disk(r=20), "com": stemwire.com(), "sum": "sum"}, nav_shape=(6, 5))
    paths = results.save(tmp_path / "out")
    assert (tmp_path / "out" / "com.raw_com.npy") in paths
    for path in paths:
        loaded = np.load(path, allow_pickle=False)
        assert np.array_equal(loaded, results[path.stem].data, equal_nan=True)
    pytest.importorskip("xarray")
    array = results["bf"].to_xarray()
    assert array.dims == ("scan_y", "scan_x")
    assert array.shape == (6, 5)
    assert array.coords["valid"].values.all()
    dataset = results.to_xarray()
    assert dataset["com.raw_com"].shape == (6, 5, 2)
    assert dataset["sum.intensity"].dims == ("y", "x")
    assert dataset.attrs["placed"] == 30
    with pytest.raises(KeyError, match=r"com\.raw_com"):
        results["com"]
    assert "bf" in results
    assert "nope" not in results
