"""The Space is whole: its metadata is valid, what it needs is pinned, and it starts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.request

import pytest
import yaml
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from PIL import Image

from tests.app.browser import PHONE, Tab, open_browser
from tests.test_layout import PROJECT, ROOT

SPACE = ROOT / "spaces" / "unlearning"
SPEC = importlib.util.spec_from_file_location("make_space", ROOT / "scripts" / "make_space.py")
make_space = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_space)
# https://huggingface.co/docs/hub/spaces-config-reference, and how long the short description may be.
KNOWN = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license"),
    *("pinned", "short_description", "tags", "models", "datasets", "suggested_hardware", "startup_duration_timeout"),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def pins(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return {each.name.lower().replace("_", "-"): each for each in map(Requirement, lines)}


def test_its_metadata_is_valid():
    data = SpaceCard.load(SPACE / "README.md").data.to_dict()
    assert {"title", "sdk", "sdk_version", "app_file", "license"} <= data.keys() <= KNOWN
    assert data["sdk"] == "gradio" and data["license"] == PROJECT["license"].lower()
    assert (SPACE / data["app_file"]).is_file()
    assert {data["colorFrom"], data["colorTo"]} <= COLOURS
    assert len(data["short_description"]) <= 60 and len(data["emoji"]) == 1
    assert re.fullmatch(r"3\.\d+", data["python_version"])
    # The one that the tests run with.
    assert str(pins(ROOT / "constraints" / "ci.txt")["gradio"].specifier) == f"=={data['sdk_version']}"
    # Numbers in YAML lose their zeros.
    assert isinstance(yaml.safe_load((SPACE / "README.md").read_text().split("---")[1])["python_version"], str)


def test_what_it_needs_is_pinned():
    pinned = pins(SPACE / "requirements.txt")
    needed = {each.name.lower().replace("_", "-"): each for each in map(Requirement, PROJECT["dependencies"])}
    assert pinned.keys() == needed.keys()
    for name, each in pinned.items():
        (version,) = each.specifier
        assert version.operator == "==" and needed[name].specifier.contains(version.version)


@pytest.mark.parametrize("place", [".", "docs", "outputs/../hf_unlearn", "..", "project", "file"])
def test_it_is_written_over_nothing_else(tmp_path, monkeypatch, capsys, place):
    """Not even where the check fails: the clone of this test is a copy of what matters of it."""
    clone = tmp_path / "hf_unlearn"
    for folder in ("spaces/unlearning", "hf_unlearn", "docs", "outputs"):
        (clone / folder).mkdir(parents=True)
    for name in ("README.md", "LICENSE", "hf_unlearn/kept.py", "docs/kept.md", "spaces/unlearning/README.md"):
        (clone / name).write_text(name)
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text("")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(make_space, "ROOT", clone)
    monkeypatch.setattr(make_space, "SPACE", clone / "spaces" / "unlearning")
    monkeypatch.setattr(make_space, "OUTPUTS", clone / "outputs")
    before = {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")}
    folder = {"project": other, "file": tmp_path / "file"}.get(place, clone / place)
    monkeypatch.setattr(sys, "argv", ["make_space.py", str(folder)])
    with pytest.raises(SystemExit) as ended:
        make_space.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert {path: path.is_file() and path.read_text() for path in tmp_path.rglob("*")} == before
    # Where outputs go is the place for it.
    monkeypatch.setattr(sys, "argv", ["make_space.py", str(clone / "outputs" / "space")])
    make_space.main()
    assert (clone / "outputs" / "space" / "hf_unlearn" / "kept.py").is_file()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the Space is up, as it is in its repository, on a model that is trained for a moment only."""
    pytest.importorskip("gradio", reason="Gradio is not installed (the extra app)")
    folder = tmp_path_factory.mktemp("space")
    made = folder / "space"
    subprocess.run([sys.executable, ROOT / "scripts" / "make_space.py", made], check=True, capture_output=True)
    assert (made / "README.md").is_file() and not list(made.rglob("__pycache__"))
    assert (made / "hf_unlearn" / "app" / "style.css").is_file()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"SPACE_EPOCHS": "2", "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": "0"}
    environment |= {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, "app.py"], cwd=made, stdout=subprocess.PIPE, text=True, env=environment
    ) as space:
        try:
            said = next(line for line in space.stdout if line.startswith("The page is at"))
            yield said.split()[-1]
        finally:
            space.terminate()


@pytest.mark.slow
def test_it_offers_strangers_no_more_than_it_should(address):
    with urllib.request.urlopen(f"{address}config", timeout=60) as answer:
        config = json.load(answer)
    props = {each["props"]["elem_id"]: each["props"] for each in config["components"] if each["props"].get("elem_id")}
    assert not any(props[name]["visible"] for name in ("model", "dataset", "references", "test_dataset"))
    assert {"check", "forget", "own", "pack"} <= props.keys()
    assert not {"push", "certify", "key", "repo_id"} & props.keys()
    assert props["words"]["value"] == "eight"


@pytest.mark.slow
def test_a_stranger_makes_it_forget_a_digit(address, tmp_path, digit="three"):
    """By clicks, in a browser on a phone; and sees no sample of anybody's, nor where anything lies."""
    path = str(tmp_path / "mine.png")
    Image.new("L", (8, 8), 128).save(path)
    with open_browser() as browser:
        tab = Tab(browser, address, PHONE)
        assert "ten handwritten digits" in tab.text("#title")
        assert not any(tab.page.is_visible(f"#{name}") for name in ("model", "dataset"))
        tab.page.fill("#words textarea", "eleven")
        tab.check()
        assert "forget class 'eleven' is not a label" in tab.text("#status .error")
        assert str(tmp_path.parent) not in tab.page.content()
        tab.page.evaluate("() => document.querySelector('#status .error').remove()")
        tab.page.fill("#words textarea", digit)
        tab.click("#more button")
        tab.write("max_steps", "60")
        assert "Deep" not in tab.text("#level") and "found inside" not in tab.text("#level")
        tab.check()
        assert f"the class '{digit}'" in tab.text("dl.plan") and "at most 60 steps" in tab.text("dl.plan")
        assert (tab.overflows(), tab.small_texts()) == ([], [])
        tab.forget()
        said = tab.text(".verdict")
        assert said.startswith("Forgotten in its answers")
        forgotten = next(
            row for row in tab.page.query_selector_all("table.classes tbody tr") if row.inner_text().startswith(digit)
        )
        before, after = (float(each) for each in re.findall(r"([\d.]+) %", forgotten.inner_text()))
        assert before > 50 and after < 5
        assert tab.page.query_selector_all(".strip, button[role=tab]:has-text('Push')") == []
        assert "Saved in" not in tab.text("#outcome") and str(tmp_path.parent) not in tab.page.content()
        tab.page.set_input_files("#own input[type=file]", path)
        tab.page.wait_for_selector("#answers table")
        assert (tab.faults, tab.elsewhere, tab.overflows()) == ([], [], [])
