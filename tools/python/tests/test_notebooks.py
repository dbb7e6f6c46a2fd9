"""The notebooks, executed against a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Serve

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")
pytest.importorskip("xarray")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.stem))
def test_notebook(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = serve("synthetic", "--nav-shape", "32", "32", "--frames-per-partition", "64")
    monkeypatch.setenv("STEMWIRE_SERVER", program.address)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not committed"
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
