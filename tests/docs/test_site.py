"""The site has every page and every public name, and no link leads nowhere."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hf_unlearn.evaluation
from hf_unlearn.commands.main import COMMANDS

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|#)([^)#\s]+)(?:#([^)]+))?\)")


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_pages_outside_the_site(name):
    links = LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert links
    for target, anchor in links:
        assert (ROOT / target).exists(), target
        assert not anchor or anchor in headings(ROOT / target), f"{target}#{anchor}"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_site_finds_the_help_of_every_command(command):
    help_of = runpy.run_path(str(ROOT / "scripts" / "site_hooks.py"))["help_of"]
    assert help_of(command).startswith(f"usage: hf-unlearn {command} ")


def test_every_command_is_in_the_reference():
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert re.findall(r"\{\{ help ([\w-]+) \}\}", page) == list(COMMANDS)


def test_every_public_name_is_in_the_reference():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md")))
    named = re.findall(r"^::: hf_unlearn\.([\w.]+)$", pages, re.MULTILINE)
    metrics = {f"evaluation.{name}" for name in hf_unlearn.evaluation.__all__}
    assert {*hf_unlearn.__all__, *metrics} - set(named) == set()
    assert len(named) == len(set(named))


def test_references_in_docstrings_name_what_the_reference_has():
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    named = set(re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE))
    for path in (ROOT / "hf_unlearn").rglob("*.py"):
        for target in re.findall(r"`\]\[([\w.]+)\]", path.read_text(encoding="utf-8")):
            assert target in named, f"{path}: {target}; write [`name`] and it is a link where the name is public"


class Addresses(HTMLParser):
    """What a page takes from elsewhere: scripts, styles, images."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found += [str(values[key]) for key in ("src", "href") if tag != "a" and values.get(key)]


@pytest.mark.slow
def test_the_site_is_built_without_the_network(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    # An address where nobody answers: what would be fetched fails.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")
    }
    for name, text in pages.items():
        addresses = Addresses()
        addresses.feed(text)
        assert [address for address in addresses.found if re.match(r"(https?:)?//", address)] == [], name
    trainers = pages["reference/trainers.html"]
    # A docstring's reference is a link, and a setting has its description.
    assert re.search(r'for <a [^>]*href="#hf_unlearn.UnlearningTrainer"><code>UnlearningTrainer</code></a>', trainers)
    assert "Weight of the target term (paper, App. F.4)." in trainers
    assert "--forget_classes VALUE" in pages["reference/commands.html"]
    assert "forgot-eight" in pages["examples.html"]
    assert [name for name, text in pages.items() if "{{" in text] == []
    assert "setting(" not in trainers and "[<code>" not in trainers
