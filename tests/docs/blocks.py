"""The blocks of code of a page, and how they are run: as a reader would, one after the other, in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from hf_unlearn.commands.main import main

# `<!-- not run: REASON -->` on the line before a block, which a reader of the site does not see.
MARK = re.compile(r"<!-- not run: (?P<reason>.+?) -->\s*$")
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)(?P<options>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
# ```yaml title="run.yaml" is a file of that name, which the reader makes.
TITLE = re.compile(r'title="([\w.]+)"')
RUN = ("python", "bash")
MODULE = "blocks_of_a_page"
# What is shown and cannot be run.
SHOWN = ("text", "yaml", "json", "bibtex")
# What a shell changes or acts on, outside of single quotes.
FOR_A_SHELL = re.compile(r"[$`|&;<>()*?~{}\\]|(?<!\w)\[")


class Block(NamedTuple):
    """A fenced block.

    Args:
        page: file name, for messages.
        line: number of its first line of code in the page.
        not_run: the reason in the mark before it; None for a block that runs.
        title: the file that the block is.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None
    title: str | None = None

    @property
    def place(self) -> str:
        """Where it stands, as an editor takes it."""
        return f"{self.page}:{self.line}"

    @property
    def included(self) -> str | None:
        """The file that the block shows, if it shows one instead of having code of its own."""
        found = re.fullmatch(r"\{\{ include (.+) \}\}", self.text.strip())
        return found.group(1) if found else None


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a page in order."""
    page = path.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(page):
        before = page[: match.start()].rstrip("\n").rpartition("\n")[2]
        mark = MARK.search(before)
        indent = len(match["indent"])
        lines = [line[indent:] for line in match["text"].splitlines()]
        reason = mark["reason"] if mark else None
        line = page.count("\n", 0, match.start("text")) + 1
        title = TITLE.search(match["options"])
        text = "\n".join(lines)
        found.append(Block(path.name, line, match["language"], text, reason, title[1] if title else None))
    return found


def run_page(blocks: Sequence[Block], folder: Path, also: dict[str, Sequence[str]] | None = None) -> None:
    """Run the blocks in `folder`, which must be the current one; Python blocks of a page share their names.

    Args:
        also: flags that are added to an `hf-unlearn` command, by its name.
    """
    # A module, as a script is one: what pickles a class of the page looks for it there.
    module = ModuleType(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, MODULE, module)
        for block in blocks:
            if block.title is not None:
                (folder / block.title).write_text(f"{block.text}\n", encoding="utf-8")
            if block.not_run is not None or block.language not in RUN or block.included is not None:
                continue
            if block.language == "python":
                # The line numbers of an error are then those of the page.
                exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), vars(module))
            else:
                _run_shell(block, folder, also or {})


def _run_shell(block: Block, folder: Path, also: dict[str, Sequence[str]]) -> None:
    for command in re.sub(r"\\\n\s*", "", block.text).splitlines():
        words = shlex.split(command, comments=True)
        if not words:
            continue
        if words[0] == "hf-unlearn" and not FOR_A_SHELL.search(re.sub(r"'[^']*'", "", command)):
            # In this process: what the command imports takes seconds, each time.
            words += also.get(words[1], ())
            status = main(words[1:])
        else:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            status = subprocess.run(["bash", "-ec", command], cwd=folder, env={**os.environ, "PATH": path}).returncode
        assert status == 0, f"{block.place}: {command!r} ended with status {status}"
