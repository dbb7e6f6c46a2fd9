"""What the control socket offers besides runs: the detector's settings, series of acquisitions, windows, the past."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

import stemwire
from stemwire import Connection, Margins

from .conftest import Serve


def acquire(server: Connection) -> None:
    server.arm(trigger="soft")
    server.trigger()
    server.wait(timeout=20)


def test_a_window_of_the_last_acquisitions(server: Connection) -> None:
    run = server.start_run("sumsig")
    server.arm(trigger="soft", window=2)
    server.trigger()
    server.wait(timeout=20)
    for _ in range(3):
        acquire(server)
    window = server.status().window
    assert (window.kept, window.endless) == (2, False)
    assert [each.generation for each in window.entries] == [3, 4]
    assert all(each.ended and each.frames_held == each.frames_expected == 256 for each in window.entries)
    for each in window.entries:
        results = server.snapshot(run, acquisition=each.acquisition)
        assert results.acquisition == each.acquisition
        assert results.complete
        frames = sum(len(tile) for tile in server.fetch(acquisition=each.acquisition))
        assert frames == 256
    (first, *_) = server.status().ended
    assert first.acquisition not in {each.acquisition for each in window.entries}
    with pytest.raises(stemwire.NotFound):
        server.snapshot(run, acquisition=first.acquisition)
    with pytest.raises(ValueError, match="1 to 64"):
        server.arm(window=65)


def test_until_told_to_stop(server: Connection) -> None:
    server.arm((4, 4), trigger="internal", endless=True, window=3)
    finals = []
    with server.updates(acquisitions=None, timeout=20) as updates:
        for state in updates:
            if state.final:
                finals.append(state.acquisition)
            if len(finals) == 4:
                break
    assert len(set(finals)) == 4
    assert server.status().window.endless
    done = server.stop()
    assert done.state_after == "idle"


def test_settings_are_set_in_order_and_read_back(server: Connection) -> None:
    settings = server.configure({"COUNTERDEPTH": 6, "CONTINUOUSRW": False})
    assert {(each.name, each.asked, each.value, each.differs) for each in settings} == {
        ("COUNTERDEPTH", "6", "6", False),
        ("CONTINUOUSRW", "0", "0", False),
    }
    refused = server.configure({"COUNTERDEPTH": 7})
    assert refused[0].differs
    assert refused[0].detector_code
    lines = server.command_file("# a comment\nSET,COUNTERDEPTH,12\nGET,COUNTERDEPTH\n")
    assert lines[-1].value == "12"
    with pytest.raises(stemwire.InvalidArgument):
        server.command_file("NONSENSE")


def test_a_dry_run(server: Connection) -> None:
    check = server.check((16, 16), frames=256, trigger="soft")
    assert (check.nav_shape, check.frames_needed, check.frames_announced) == ((16, 16), 256, 256)
    short = server.check((16, 16), frames=200)
    assert not short.ok
    assert "frames.tooFew" in {each.code for each in short.findings}
    margins = server.check((16, 15), frames=256, margins=Margins(flyback=1))
    assert margins.frames_needed == 256
    assert server.status().acquisition is None


def test_fly_back_frames_are_no_positions(server: Connection) -> None:
    results = server.run("sumsig", nav_shape=(16, 15), frames=256, margins=Margins(flyback=1))
    assert results["sumsig"].data.shape == (16, 15)
    assert results.complete
    assert results.accounting is not None
    assert results.accounting.flyback_frames in (15, 16)


def test_a_series_in_one_request(server: Connection) -> None:
    done = server.acquire({"s": "sumsig"}, nav_shape=(8, 8), frames=64, repeats=2, run="series", timeout=30)
    assert (done.done, done.run, len(done.acquisitions)) == (2, "series", 2)
    assert all(each.end_reason == "complete" for each in done.acquisitions)
    assert server.snapshot("series")["s"].final
    assert server.wait(timeout=10).acquisitions[-1].acquisition == done.acquisitions[-1].acquisition


def test_pictures_and_single_frames(server: Connection) -> None:
    results = server.run({"s": "sumsig"})
    run = results.run
    picture = server.picture("s", run=run)
    assert picture.data.startswith(b"\x89PNG")
    assert picture._repr_png_() == picture.data
    raw = server.picture("s.intensity", run=run, format="raw")
    assert np.array_equal(np.frombuffer(raw.data, raw.dtype).reshape(raw.shape), results["s"].data)
    (tile,) = list(server.fetch(17, 1))
    assert np.array_equal(server.frame(17), tile.frames[0])
    assert np.array_equal(server.frame((1, 1)), tile.frames[0])
    assert server.frame().shape == tile.sig_shape
    with pytest.raises(stemwire.RequestRefused):
        server.frame(100_000)


def test_the_past(serve: Serve, tmp_path: Path) -> None:
    options = ("--nav-shape", "8", "8", "--history", str(tmp_path / "history"))
    with stemwire.connect(serve("synthetic", *options).address) as server:
        results = [server.run({"s": "sumsig"}) for _ in range(3)]
        entries = server.history(2)
        assert [each.acquisition.acquisition for each in entries] == [each.acquisition for each in results[:0:-1]]
        (older,) = server.history(before=entries[-1].number)
        assert older.acquisition.acquisition == results[0].acquisition
        digests = {each.digest for run in older.runs for each in run.results if each.udf == "s"}
        manifest = results[0]["s"].manifest
        assert manifest is not None
        assert digests == {manifest.digest}
        (alone,) = server.history(acquisition=older.acquisition.acquisition)
        assert alone == older


def test_the_asyncio_face_has_them_too(serve: Serve) -> None:
    async def use(address: str) -> None:
        async with await stemwire.aio.connect(address) as server:
            assert (await server.check(trigger="soft")).nav_shape == (8, 8)
            await server.arm(trigger="soft", window=4)
            await server.trigger()
            done = await server.wait(timeout=20)
            assert done.acquisitions[-1].end_reason == "complete"
            assert (await server.status()).window.kept == 4
            assert (await server.frame(3)).ndim == 2

    asyncio.run(use(serve("synthetic", "--nav-shape", "8", "8").address))


def test_the_status_names_those_who_work(server: Connection) -> None:
    status = server.status()
    assert status.versions["protocol"]
    assert all(each.is_local for each in status.workers)
    assert not status.armed
