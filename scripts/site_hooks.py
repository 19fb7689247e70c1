"""What the site adds to its pages when it is built; mkdocs.yml names it.

`{{ help unlearn }}` becomes what `hf-unlearn unlearn --help` prints, `{{ include examples/x.py }}` what the file holds.
The CSVs of scripts/results/ become files of the site, so that a link to one leads somewhere there and in the sources.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from pathlib import Path
from typing import Any

from hf_unlearn.commands.main import home_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "scripts" / "results"
LINK_TO_RESULTS = "](../scripts/results/"
HELP = re.compile(r"\{\{ help ([\w-]+) \}\}")
INCLUDE = re.compile(r"\{\{ include ([\w./]+) \}\}")


def help_of(command: str) -> str:
    """The help of a command, without the network and without torch."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        importlib.import_module(home_of(command)).main(["--help"])
    return printed.getvalue().rstrip()


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Called by mkdocs with the text of each page."""
    helped = HELP.sub(lambda match: help_of(match[1]), markdown).replace(LINK_TO_RESULTS, "](results/")
    return INCLUDE.sub(lambda match: (ROOT / match[1]).read_text(encoding="utf-8").rstrip(), helped)


def on_files(files: Any, config: Any, **kwargs: Any) -> Any:
    """Called by mkdocs with the files of the site."""
    from mkdocs.structure.files import File

    for path in sorted(RESULTS.glob("*.csv")):
        files.append(File.generated(config, f"results/{path.name}", abs_src_path=str(path)))
    return files
