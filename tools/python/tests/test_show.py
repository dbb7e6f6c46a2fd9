"""Progress and pictures."""

from __future__ import annotations

import asyncio
import sys
import uuid

import numpy as np
import numpy.typing as npt
import pytest

import stemwire
from stemwire import Channel, LivePlot, Results
from stemwire.plot import picture

from .conftest import Serve


def channel(name: str, data: npt.NDArray[np.generic], kind: str = "nav", processed: int = 4) -> Channel:
    valid = np.array([[True, True], [False, True]])
    return Channel(uuid.uuid4(), 1, "r", name, "intensity", 1, kind, data, valid, processed, 4, False, (2, 2), (3, 3))


def test_pictures() -> None:
    scan = picture(channel("bf", np.array([[1, 2], [0, 4]])))
    assert scan.mask.tolist() == [[False, False], [True, False]]
    vectors = picture(channel("com", np.full((2, 2, 2), 3.0)))
    assert vectors.shape == (2, 2)
    assert vectors[0, 0] == pytest.approx(np.sqrt(18))
    assert picture(channel("c", np.full((2, 2), 3 + 4j)))[0, 0] == 5
    assert picture(channel("sum", np.ones((3, 3)), "sig", processed=0)).mask.all()
    assert np.ma.count_masked(picture(channel("f", np.array([[np.nan, 1], [1, 1]])))) == 2


def test_live_plot() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    results = Results(
        "r",
        {
            ("bf", "intensity"): channel("bf", np.array([[1, 2], [0, 4]])),
            ("sum", "intensity"): channel("sum", np.arange(9.0).reshape(3, 3), "sig"),
            ("fit", "intensity"): channel("fit", np.zeros(3), "single"),
        },
    )
    plot = LivePlot(log=["sum.intensity"])
    plot.update(Results("r", {}))
    assert plot.figure is None
    for _ in range(2):
        plot.update(results)
    titles = [axes.get_title() for axes in plot.figure.axes]
    assert titles == ["bf.intensity 100%", "sum.intensity 100%"]
    shown = plot.figure.axes[1].images[0].get_array()
    assert shown.mask[0, 0]
    assert shown[2, 2] == pytest.approx(np.log10(8))
    plot.close()
    one = LivePlot("bf")
    one.update(results)
    assert len(one.figure.axes) == 1
    one.close()


def test_run_with_progress_and_plots(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    program = serve("synthetic", "--nav-shape", "16", "16")
    plot = LivePlot("bf", "sum")
    with stemwire.connect(program.address) as server:
        results = server.run({"bf": stemwire.disk(r=30), "sum": "sum"}, progress=True, plots=[plot])
    assert "256/256" in capsys.readouterr().err
    shown = plot.figure.axes[0].images[0].get_array()
    assert np.array_equal(shown, results["bf"].data)
    plot.close()


def test_save_npy(tmp_path: object) -> None:
    path = stemwire.save_npy(f"{tmp_path}/frames.npy", np.arange(6, dtype=">u2").reshape(2, 3))
    loaded = np.load(path, allow_pickle=False)
    assert loaded.dtype == np.dtype("<u2")
    assert loaded.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_viewers_page(serve: Serve) -> None:
    pytest.importorskip("IPython")
    program = serve("synthetic", "--nav-shape", "4", "4")
    with stemwire.connect(program.address) as server:
        frame = server.show(program.ports["http_port"], height=300)
        assert frame.src == f"http://127.0.0.1:{program.ports['http_port']}/"
        with pytest.raises(stemwire.ServerUnreachable, match="http-port"):
            server.show(1)

    async def shown() -> str:
        async with await stemwire.aio.connect(program.address) as server:
            page = await server.show(program.ports["http_port"])
            return str(page.src)

    assert asyncio.run(shown()) == frame.src


def test_progress_without_tqdm(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    program = serve("synthetic", "--nav-shape", "16", "16")
    with stemwire.connect(program.address) as server:
        server.run("sumsig", progress=True)
    assert "100% of 256 frames" in capsys.readouterr().err


def test_what_is_not_installed_is_told_before_anything_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("matplotlib", "xarray"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'stemwire\[plot\]'"):
        LivePlot()
    with pytest.raises(ImportError, match=r"pip install 'stemwire\[xarray\]'"):
        channel("bf", np.zeros((2, 2))).to_xarray()
