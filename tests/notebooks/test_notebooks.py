"""Every notebook runs from top to bottom, is stored without outputs, and defines nothing that packages could use."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import cemrisk

NOTEBOOKS = sorted((Path(cemrisk.__file__).parent / "notebooks").glob("*.ipynb"))
LONGEST_SECONDS = 600


def code_of(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert "01_from_export_to_risk.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_are_stripped(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [None] * len(cells)
    assert [cell.outputs for cell in cells] == [[]] * len(cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_nothing_reusable_is_defined(path: Path) -> None:
    tree = ast.parse("\n".join(code_of(nbformat.read(path, as_version=4))))
    defined = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert defined == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Proactor event loop|There is no current event loop")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_it_runs_and_shows_figures(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=LONGEST_SECONDS, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    warned = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert not [text for text in warned if "Warning" in text and "IProgress" not in text]
    assert not list(tmp_path.iterdir()), "it leaves nothing in the folder in which it runs"
