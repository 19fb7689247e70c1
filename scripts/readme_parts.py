"""The parts of README.md that scripts write: between two marks, made anew from committed results."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from study_defaults import read_rows

Rows = list[dict[str, str]]

README = Path(__file__).parents[1] / "README.md"


def marks(name: str, script: str) -> tuple[str, str]:
    """The lines around the part called `name`, which `script` writes."""
    return f"<!-- {name}: begin, by scripts/{script} -->", f"<!-- {name}: end -->"


def rendered(text: str, around: tuple[str, str], body: str) -> str:
    """`text` with what stands between the marks replaced by `body`; as it is if the marks are not there."""
    before, found, rest = text.partition(around[0])
    _, _, after = rest.partition(around[1])
    return f"{before}{around[0]}\n{body}\n{around[1]}{after}" if found else text


def write(around: tuple[str, str], body: str) -> None:
    """Put `body` between the marks of README.md."""
    README.write_text(rendered(README.read_text(encoding="utf-8"), around, body), encoding="utf-8")


def main_of_report(
    doc: str | None, csv: Path, around: tuple[str, str], body: Callable[[Rows], str], draw: Callable[[Rows, Path], None]
) -> None:
    """The command of a script that makes a part of README.md, and a figure beside the CSV that both are made of."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, default=csv)
    flags = parser.parse_args()
    rows = read_rows(flags.csv)
    write(around, body(rows))
    draw(rows, flags.csv.with_suffix(".png"))
    print(body(rows))
