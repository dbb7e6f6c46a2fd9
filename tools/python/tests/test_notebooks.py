"""The notebooks, executed against a server."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest

from .conftest import Serve

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
imread = pytest.importorskip("matplotlib.image").imread
pytest.importorskip("xarray")

PICTURES = {"first-steps": 3, "live-virtual-detector-and-com": 2, "own-udf-on-workers": 1}
"""That a reader sees, each once."""
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(PICTURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.stem))
def test_notebook(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = serve("synthetic", "--nav-shape", "32", "32", "--frames-per-partition", "64")
    monkeypatch.setenv("STEMWIRE_SERVER", program.address)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not committed"
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [base64.b64decode(each["image/png"]) for each in shown if "image/png" in each]
    assert len(pictures) == PICTURES[path.stem]
    for picture in pictures:
        values = imread(io.BytesIO(picture))[..., :3]
        assert len(np.unique(values.reshape(-1, 3), axis=0)) > 100, "a picture of nothing"
