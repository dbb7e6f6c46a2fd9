"""The examples of README.md run as they stand there, on other ports and smaller scans."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stemwire

from .conftest import Program, Serve, final_results
from .workers import WorkerProcess

README = Path(__file__).parents[1] / "README.md"
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def blocks(kind: str) -> list[str]:
    """Of LiberTEM, of workers, or of the client."""
    kinds = [
        "libertem" if "libertem" in each else "worker" if "stemwire.worker" in each else "client" for each in BLOCKS
    ]
    return [each for each, found in zip(BLOCKS, kinds, strict=True) if found == kind]


def run(block: str, program: Program, names: dict[str, Any], **replaced: str) -> None:
    text = block.replace("tcp://127.0.0.1:7400", program.address)
    for old, new in {"256, 256": "32, 32", "128, 128": "16, 16", **replaced}.items():
        text = text.replace(old, new)
    exec(compile(text, README.name, "exec"), names)


def test_all_examples_are_run() -> None:
    assert [len(blocks(kind)) for kind in ("client", "libertem", "worker")] == [4, 2, 2]


def test_client(serve: Serve) -> None:
    program = serve("synthetic")
    with stemwire.connect(program.address) as server:
        names: dict[str, Any] = {"server": server, "stemwire": stemwire}
        for example in blocks("client"):
            run(example, program, names, **{"progress=True": "progress=False"})
            names["server"] = server
        assert isinstance(names["results"], stemwire.Results)
        assert names["results"].complete


def test_worker(serve: Serve, worker: Callable[..., WorkerProcess], tmp_path: Path) -> None:
    program = serve("synthetic", "--nav-shape", "16", "16", "--frames-per-partition", "32")
    (tmp_path / "mymodule.py").write_text(blocks("worker")[0], encoding="utf-8")
    worker(program, "mymodule:Brightest", options=("--path", str(tmp_path))).wait_for("connected")
    with stemwire.connect(program.address) as server:
        wanted = {"b": stemwire.udf("Brightest", above=3), "max": "max"}
        results = server.run(wanted, timeout=60)
    assert results.complete
    np.testing.assert_array_equal(results["b.peaks"].data, results["max"].data)
    assert results["b.intensity"].data.max() == results["max"].data.max() - 3


def test_starting_workers(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    program = serve("synthetic", "--nav-shape", "8", "8", "--threads", "0", "--udf", "none")
    (tmp_path / "mymodule.py").write_text(blocks("worker")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    replaced = {
        "tcp://merlin-server:7402": f"tcp://127.0.0.1:{program.ports['work_port']}",
        "/shared/udfs": str(tmp_path),
    }
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        stemwire.connect(program.address) as server,
    ):
        names: dict[str, Any] = {"client": client, "server": server, "stemwire": stemwire}
        run(blocks("worker")[1], program, names, **replaced)
    assert names["results"].complete
    for made in ("workers.sbatch", "workers.json"):
        assert "mymodule:Brightest" in (tmp_path / made).read_text()


@pytest.mark.parametrize("number", [0, 1])
def test_libertem(serve: Serve, number: int) -> None:
    pytest.importorskip("libertem_live.api")
    import matplotlib as mpl

    mpl.use("agg")
    program = serve("synthetic", "--nav-shape", "16", "16")
    names: dict[str, Any] = {}
    with stemwire.connect(program.address) as server:
        if number == 0:
            exact = server.run("sum")["sum"].data
        inline = {"lt.Context()": "lt.Context.make_with('inline')"}
        run(blocks("libertem")[number], program, names, **inline)
        if number == 0:
            np.testing.assert_array_equal(names["result"]["intensity"].data, exact)
        else:
            names["ctx"].close()
            assert final_results(server).complete
