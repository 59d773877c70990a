"""The notebook tells its story without an error."""

from __future__ import annotations

import warnings
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[3]


def test_the_notebook_runs() -> None:
    notebook = nbformat.read(ROOT / "notebooks" / "02_ct_features.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    with warnings.catch_warnings():
        # jupyter's own messages about event loops and directories are no fault of the notebook
        warnings.simplefilter("ignore")
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": ROOT}}).execute()
    assert any("image/png" in o.get("data", {}) for cell in notebook.cells for o in cell.get("outputs", []))
