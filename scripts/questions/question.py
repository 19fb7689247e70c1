"""What every question has: cells that are measured one after the other, and a CSV that says which of them are done."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study_defaults import RESULTS, append_rows, read_rows

Rows = list[dict[str, str]]
Cell = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One question.

    Args:
        number: in the list of docs/questions.md.
        name: on the command line, and of the figure and the CSV.
        cells: what is measured; the columns of a cell come first in each of its rows.
        minutes: that all cells took on one core, about.
        measure: a cell and the source of data (a `DataSource`) to the rest of the columns of each of its rows.
        table: all rows to a table in Markdown.
        draw: all rows to a figure of matplotlib.
        made_by: the script that writes the CSV, if this one does not; there are no cells then.
    """

    number: str
    name: str
    cells: tuple[Cell, ...]
    minutes: float
    measure: Callable[[Cell, Any], Iterable[Mapping[str, Any]]] | None
    table: Callable[[Rows], str]
    draw: Callable[[Rows], Any]
    csv_name: str = ""
    made_by: str = "study_questions.py"

    @property
    def csv(self) -> Path:
        """The committed rows."""
        return RESULTS / (self.csv_name or f"question_{self.name}.csv")

    @property
    def figure(self) -> str:
        """File name of the figure, in docs/images/."""
        return f"question_{self.name}.png"

    def missing(self, csv: Path) -> list[Cell]:
        """The cells that have no row yet."""
        done = [row.items() for row in read_rows(csv)]
        return [cell for cell in self.cells if not any(_text(cell).items() <= row for row in done)]

    def run(self, csv: Path, source: Any, say: Callable[[str], None]) -> None:
        """Measure what is missing, cell by cell; the cost is said before."""
        if self.measure is None:
            say(f"{self.name}: nothing to measure; scripts/{self.made_by} writes {csv.name}")
            return
        missing = self.missing(csv)
        minutes = self.minutes * len(missing) / len(self.cells)
        cells = f"{len(missing)} of {len(self.cells)} cells"
        say(f"{self.name}: {cells} to measure, about {minutes:.1f} minutes of one core")
        for cell in missing:
            started = time.process_time()
            rows = [{**cell, **rounded(row)} for row in self.measure(cell, source)]
            append_rows(csv, rows, contextlib.nullcontext())
            say(f"{self.name}: {', '.join(_text(cell).values())}: {time.process_time() - started:.0f} s of one core")


def _text(cell: Cell) -> dict[str, str]:
    return {name: str(value) for name, value in cell.items()}


def grid(**columns: Sequence[Any]) -> tuple[Cell, ...]:
    """Every combination; the first column changes slowest."""
    return tuple(dict(zip(columns, values, strict=True)) for values in itertools.product(*columns.values()))


def rounded(row: Mapping[str, Any], digits: int = 5) -> dict[str, Any]:
    """Numbers with so many significant digits."""
    return {name: float(f"{value:.{digits}g}") if isinstance(value, float) else value for name, value in row.items()}


def table_of(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    cells = [list(heads), ["---"] * len(heads), *(list(line) for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def groups(rows: Rows, *columns: str) -> dict[tuple[str, ...], Rows]:
    """Rows by the values of some columns, in the order of the CSV."""
    found: dict[tuple[str, ...], Rows] = {}
    for row in rows:
        found.setdefault(tuple(row[column] for column in columns), []).append(row)
    return found


def numbers(rows: Rows, column: str) -> list[float]:
    """A column of some rows."""
    return [float(row[column]) for row in rows]


def figure(
    columns: int, rows: int = 1, width: float = 4.2, height: float = 3.4, **kwargs: Any
) -> tuple[Any, list[Any]]:
    """A figure without a window, and its axes in a list."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chart, axes = pyplot.subplots(
        rows, columns, figsize=(columns * width, rows * height), squeeze=False, layout="constrained", **kwargs
    )
    return chart, list(axes.flat)
