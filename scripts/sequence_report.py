"""Requests one after another, as the table and the figure of docs/requests.md.

python scripts/sequence_report.py            # rewrites the table between the marks, and the figure
"""

from __future__ import annotations

from pathlib import Path

from page_parts import Part, main_of_report
from study_defaults import RESULTS

CSV = RESULTS / "study_sequence.csv"
PART = Part("sequence", "sequence_report.py", "docs/requests.md")
Rows = list[dict[str, str]]
ONE_BY_ONE, UNKEPT, FROM_FIRST = "one by one", "first not kept", "from the first"
MODELS = {"resnet-tiny": "ResNet", "vit-tiny": "ViT"}
GAPS = ("do nothing", UNKEPT, ONE_BY_ONE, FROM_FIRST, "retrained again")


def kinds_of(rows: Rows) -> list[tuple[str, str]]:
    """Architectures and sequences, in order."""
    return list(dict.fromkeys((row["architecture"], row["sequence"]) for row in rows))


def line_of(rows: Rows, kind: tuple[str, str], route: str, name: str) -> list[tuple[int, float]]:
    """A figure over the steps of a route, where it was taken."""
    own = (row for row in rows if (row["architecture"], row["sequence"], row["route"]) == (*kind, route))
    return sorted((int(row["step"]), float(row[name])) for row in own if row[name])


def last(rows: Rows, kind: tuple[str, str], route: str, name: str, digits: int) -> str:
    """A figure after all requests."""
    line = line_of(rows, kind, route, name)
    return f"{line[-1][1]:.{digits}f}" if line else "–"


def most(rows: Rows, kind: tuple[str, str], name: str) -> str:
    """The most that a figure was at any step, one by one and from the first model."""
    lines = [line_of(rows, kind, route, name) for route in (ONE_BY_ONE, FROM_FIRST)]
    return " / ".join(f"{max(value for _, value in line):.1f}" for line in lines)


def body(rows: Rows) -> str:
    """The gaps, and beside them what the models still answer and which request came back by how much."""
    routes = [route for route in GAPS if any(row["route"] == route for row in rows)]
    lines = [
        "The gap after all requests, in points:",
        "",
        f"| model | requests | {' | '.join(routes)} |",
        f"|---|---|{'---|' * len(routes)}",
    ]
    for kind in kinds_of(rows):
        count = line_of(rows, kind, "retrained", "gap")[0][0]
        cells = [last(rows, kind, route, "gap", 2) for route in routes]
        lines.append(f"| {MODELS[kind[0]]} | {count} {_named(kind)} | {' | '.join(cells)} |")
    lines += [
        "",
        "Their test accuracy on what stays and the accuracy on all their samples, in percent; by how many points a "
        "request came back at most over the steps (one by one / from the first), by how many of these above what the "
        "retrained model knows of it, and how far apart two retrained models are on one request at most:",
        "",
        "| model | requests | test: retrained | one by one | from the first | samples: retrained | one by one | "
        "from the first | back | of these above retrained | retrained, apart |",
        f"|{'---|' * 11}",
    ]
    for kind in kinds_of(rows):
        cells = [
            last(rows, kind, route, name, 1)
            for name in ("remaining_test_accuracy", "union_accuracy")
            for route in ("retrained", ONE_BY_ONE, FROM_FIRST)
        ]
        cells += [most(rows, kind, name) for name in ("most_back", "most_back_above")]
        cells.append(last(rows, kind, "retrained again", "most_apart", 1))
        lines.append(f"| {MODELS[kind[0]]} | {_named(kind)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _named(kind: tuple[str, str]) -> str:
    return {"mixed": "in turn"}.get(kind[1], kind[1])


def draw(rows: Rows, path: Path) -> None:
    """Remaining accuracy, gap and depth over the sequence.

    Dashed: from the first model; dotted: where that was not kept; marks at the sides: do nothing and retrained.
    """
    import matplotlib.pyplot as plt

    figures = {
        "remaining_test_accuracy": "remaining test accuracy, %",
        "gap": "gap, points",
        "depth": "depth of the requests so far, %",
    }
    plot, axes = plt.subplots(1, len(figures), figsize=(12, 3.6), layout="constrained")
    for place, kind in enumerate(kinds_of(rows)):
        for axis, name in zip(axes, figures, strict=True):
            for route, style in ((ONE_BY_ONE, "-"), (FROM_FIRST, "--"), (UNKEPT, ":")):
                if line := line_of(rows, kind, route, name):
                    axis.plot(*zip(*line, strict=True), style, marker=".", color=f"C{place}")
            # One entry a kind, whichever routes it has.
            axis.plot([], [], color=f"C{place}", label=f"{MODELS[kind[0]]}, {_named(kind)}")
            for route, mark in (("retrained", "_"), ("do nothing", "|")):
                if ends := line_of(rows, kind, route, name)[-1:]:
                    axis.scatter(*zip(*ends, strict=True), marker=mark, color=f"C{place}")
    for axis, title in zip(axes, figures.values(), strict=True):
        axis.set(xlabel="requests so far", title=title)
    axes[1].legend(fontsize="small")
    plot.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main_of_report(__doc__, CSV, PART, body, draw)
