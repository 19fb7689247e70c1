"""The audits of the default and its controls, as a table of docs/audits.md.

python scripts/audits_report.py            # rewrites the table between the marks
"""

from __future__ import annotations

from page_parts import Part
from study_audits import CSV
from study_defaults import read_rows

PART = Part("audits", "audits_report.py", "docs/audits.md")
Rows = list[dict[str, str]]
# The judged figure of each audit, its digits, and the heading of its column.
JUDGED = {
    "u_lira": ("U-LiRA, AUC %", 1),
    "klom": ("KLoM, nats", 2),
    "forgetting_quality": ("F", 3),
}
NAMES = {"mu_mis": "default", "nothing": "do nothing", "retrain": "retrained"}


def body(rows: Rows) -> str:
    """A line a model, request and method: each figure, what exact unlearning gives in brackets, bold where it fails."""
    heads = ["model", "request", "method", *(title for title, _ in JUDGED.values())]
    heads += ["KLoM, test", "forget / test accuracy, %", "of retrained", "as they were", "verdict"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [
            f"{row['model']}, {row['num_models']} of each",
            row["request"],
            NAMES.get(row["method"], row["method"]),
        ]
        for name, (_, digits) in JUDGED.items():
            if not row.get(name):
                cells.append("–")
                continue
            figure, exact = (f"{float(row[key]):.{digits}f}" for key in (name, f"{name}_expected"))
            shown = figure if row[f"{name}_passes"] == "True" else f"**{figure}**"
            cells.append(f"{shown} ({exact}), p {float(row[f'{name}_p']):.3f}")
        cells.append(f"{float(row['klom_test']):.2f}")
        for role in ("unlearned", "retrained"):
            cells.append(f"{float(row[f'{role}_forget']):.1f} / {float(row[f'{role}_test']):.1f}")
        runs = (2 if row.get("u_lira") else 1) * int(row["num_models"])
        cells += [
            f"{row['unchanged']} of {runs}" if row["method"] not in ("nothing", "retrain") else "–",
            row["verdict"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    PART.write(body(read_rows(CSV)))
