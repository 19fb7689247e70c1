"""The parts of README.md and docs/ that scripts write: between two marks, made anew from committed results."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Rows = list[dict[str, str]]

ROOT = Path(__file__).parents[1]
# Figures that a page shows lie beside the pages: the site is built from docs/ alone.
IMAGES = ROOT / "docs" / "images"


@dataclass(frozen=True)
class Part:
    """What stands between two marks of a page.

    Args:
        name: in the marks.
        script: which of scripts/ writes it, in the marks.
        page: path from the root of the project.
    """

    name: str
    script: str
    page: str

    @property
    def marks(self) -> tuple[str, str]:
        """The lines around the part."""
        return f"<!-- {self.name}: begin, by scripts/{self.script} -->", f"<!-- {self.name}: end -->"

    @property
    def path(self) -> Path:
        """The page's file."""
        return ROOT / self.page

    def rendered(self, text: str, body: str) -> str:
        """`text` with what stands between the marks replaced by `body`.

        Raises:
            ValueError: the marks are not in it.
        """
        begin, end = self.marks
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{self.page} has no marks of the part {self.name!r}")
        return f"{before}{begin}\n{body}\n{end}{after}"

    def write(self, body: str) -> None:
        """Put `body` between the marks of the page."""
        self.path.write_text(self.rendered(self.path.read_text(encoding="utf-8"), body), encoding="utf-8")

    def holds(self, body: str) -> bool:
        """Whether the page holds `body` between its marks."""
        text = self.path.read_text(encoding="utf-8")
        return self.rendered(text, body) == text


METHODS_PART = Part("methods", "make_stub.py", "docs/methods.md")
FIGURES_PART = Part("rows", "make_stub.py", "docs/judging.md")


def main_of_report(
    doc: str | None, csv: Path, part: Part, body: Callable[[Rows], str], draw: Callable[[Rows, Path], None]
) -> None:
    """The command of a script that makes a part of a page, and the figure of the same CSV in docs/images/."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=csv)
    flags = parser.parse_args()
    from study_defaults import read_rows

    rows = read_rows(flags.csv)
    part.write(body(rows))
    draw(rows, IMAGES / f"{flags.csv.stem}.png")
    print(body(rows))
