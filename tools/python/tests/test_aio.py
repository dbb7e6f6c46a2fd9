"""The asyncio face gives what the blocking one gives."""

from __future__ import annotations

import asyncio
import inspect

import numpy as np
import pytest

import stemwire
from stemwire import aio

from .conftest import Serve


def test_all_of_it(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    program = serve("synthetic", "--nav-shape", "16", "16")

    async def main() -> None:
        async with await aio.connect(program.address) as server:
            total = np.zeros((256, 256), np.uint64)
            async with await server.tiles(timeout=10) as tiles:
                await server.arm(trigger="soft")
                await server.trigger()
                async for tile in tiles:
                    total += tile.frames.sum(axis=0, dtype=np.uint64)
                assert tiles.accounting is not None
                assert tiles.accounting.complete
            # The end of the scan may be there before the last frame is in the results.
            while not (results := await server.snapshot()).final:
                await asyncio.sleep(0.01)
            assert np.array_equal(results["sum"].data, total)

            results, states = await asyncio.gather(server.run("sum"), last_state(server))
            assert np.array_equal(results["sum"].data, total)
            assert np.array_equal(states["sum"].data, total)

            scan = await server.scan({"s": "sumsig"})
            async with scan:
                async for state in scan.updates(max_rate=50, progress=True):
                    assert state.run == scan.run
                assert (await scan.result()).complete

            fetched = [position async for tile in await server.fetch(3, 10) for position in tile.positions]
            assert fetched == list(range(3, 13))

            frames = await server.frames()
            await server.arm(trigger="soft")
            await server.trigger()
            assert sorted([position async for position, _ in frames]) == list(range(256))

            many = await asyncio.gather(*(server.status() for _ in range(20)))
            assert {each.state for each in many} == {"idle"}
            assert (await server.directory()).udfs == server.udfs
            assert await server.get("COUNTERDEPTH") == "12"
            run = await server.start_run("sum")
            assert run in [each.run for each in await server.runs()]
            await server.stop_run(run)
            await server.set("COUNTERDEPTH", 6)
            await server.cmd("RESET")
            with pytest.raises(stemwire.NotFound):
                await server.stop_run("nope")
        with pytest.raises(stemwire.ConnectionClosed):
            await server.status()

    async def last_state(server: aio.AsyncConnection) -> stemwire.Results:
        last = None
        async for state in await server.updates():
            last = state
        assert last is not None
        assert last.final
        return last

    asyncio.run(main())
    assert "256/256" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tiles", "frames", "fetch", "updates", "scan", "run", "snapshot", "arm"])
def test_both_faces_take_the_same_and_say_what(name: str) -> None:
    blocking, coroutine = (getattr(face, name) for face in (stemwire.Connection, aio.AsyncConnection))
    ours, theirs = inspect.signature(blocking), inspect.signature(coroutine)
    assert list(ours.parameters.values()) == list(theirs.parameters.values())
    assert next(iter(ours.parameters)) == "self"
    assert inspect.iscoroutinefunction(coroutine)
    assert not inspect.iscoroutinefunction(blocking)
    assert blocking.__doc__
    assert blocking.__doc__ == coroutine.__doc__


def test_nobody_listens() -> None:
    with pytest.raises(stemwire.ServerUnreachable, match="nobody listens"):
        asyncio.run(aio.connect("tcp://127.0.0.1:1"))
