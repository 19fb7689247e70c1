"""What reference samples add, as a table of docs/regimes.md.

python scripts/references_report.py            # rewrites the table between the marks
"""

from __future__ import annotations

import statistics

from page_parts import Part
from study_defaults import RESULTS, read_rows

CSV = RESULTS / "study_references.csv"
PART = Part("references", "references_report.py", "docs/regimes.md")
Rows = list[dict[str, str]]
FIGURES = {
    "average_gap": ("gap, points", 2),
    "forget_accuracy": ("forget accuracy, %", 1),
    "sibling_accuracy": ("sibling accuracy, %", 1),
    "mia_loss": ("loss attack, %", 1),
    "rmia_auc": ("RMIA, AUC %", 1),
}
# Of every number of reference samples there is one column.
SHOWN = ("retrained", "do nothing", "no references", "references", "unlabelled references")


def shown_as(variant: str) -> str:
    """The column of a variant of the CSV: "0 references", "1000 references" or "1000 unlabelled", or another name."""
    count, _, what = variant.partition(" ")
    if not count.isdigit():
        return variant
    return "no references" if count == "0" else {"unlabelled": "unlabelled references"}.get(what, what)


def body(rows: Rows) -> str:
    """Means over seeds, setting by setting."""
    lines = ["| setting |  | " + " | ".join(SHOWN) + " |", "|" + "---|" * (2 + len(SHOWN))]
    for key in dict.fromkeys((row["dataset"], row["model"], row["request"]) for row in rows):
        chosen = [row for row in rows if (row["dataset"], row["model"], row["request"]) == key]
        name = ", ".join(key)
        for figure, (title, digits) in FIGURES.items():
            cells = []
            for variant in SHOWN:
                values = [float(row[figure]) for row in chosen if shown_as(row["variant"]) == variant and row[figure]]
                cells.append(f"{statistics.mean(values):.{digits}f}" if values else "–")
            if set(cells) != {"–"}:
                lines.append(f"| {name} | {title} | {' | '.join(cells)} |")
                name = ""
    return "\n".join(lines)


if __name__ == "__main__":
    PART.write(body(read_rows(CSV)))
