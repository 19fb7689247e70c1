"""Every script in examples/ runs on small data, and can be made a notebook."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

from tests.docs import stock
from tests.hub.clients import pointed_here
from tests.hub.fixtures import WRITE_TOKEN

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    stock.lay_out_demo(folder)
    return folder


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, demo, hub, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "demo").symlink_to(demo)
    if path.stem != "publish_to_a_hub":
        runpy.run_path(str(path), run_name="__main__")
        assert "average gap" in capsys.readouterr().out or path.stem == "forget_a_person"
        return
    with pointed_here(hub, tmp_path / "hf-home", WRITE_TOKEN):
        runpy.run_path(str(path), run_name="__main__")
    card = hub.repository("writer/digits-without-eight").read("README.md").decode()
    assert "do nothing" in card and "the class 'eight'" in card


def test_there_are_three():
    assert [path.stem for path in EXAMPLES] == ["forget_a_class", "forget_a_person", "publish_to_a_hub"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_in_percent_format(path):
    """Cells begin with `# %%`; a cell of text is comments alone, and what comes first is one with a heading."""
    cells = path.read_text(encoding="utf-8").split("# %%")
    assert cells[0] == "" and cells[1].startswith(" [markdown]\n# # ")
    for cell in cells[1:]:
        kind, _, text = cell.partition("\n")
        assert kind.strip() in ("", "[markdown]")
        assert bool(ast.parse(text).body) == (kind.strip() == "")
