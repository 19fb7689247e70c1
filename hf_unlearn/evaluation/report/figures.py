"""Plots of a comparison, drawn from `results.json` alone."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.errors import printable
from hf_unlearn.evaluation.report.rows import ROWS
from hf_unlearn.evaluation.report.table import HEADINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Distinct for colour-blind readers (Okabe and Ito).
COLOURS = {
    "original": "#999999",
    "masked": "#cc79a7",
    "head_only": "#d55e00",
    "unlearned": "#0072b2",
    "retrained": "#009e73",
    "unseen": "#e69f00",
}
# For letters that matplotlib's own font does not have: the usual ones of Linux, macOS and Windows.
MORE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei"),
    *("Malgun Gothic", "Arial Unicode MS", "Noto Sans", "Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI"),
)
MARKERS = {"masked": "s", "head_only": "^", "unlearned": "o"}
# Shares of the way beyond these are drawn at the edge, as arrows.
SHARES = (-50.0, 200.0)
NAMES = {**HEADINGS, "original": "original", "unseen": "unseen samples, original"}
MOST_TICKS = 12
MOST_LETTERS = 32


def draw_plots(results: Mapping[str, Any]) -> dict[str, Figure]:
    """The plots that there is something to draw for, by name, ready to be saved."""
    curves = results["curves"]
    plots = {}
    for name, (draw, needs) in PLOTS.items():
        if curves.get(needs):
            plots[name] = draw(curves)
    return plots


@contextmanager
def any_letters() -> Iterator[None]:
    """Plots that are saved while this is open take letters from any font that has them.

    Where none has them no warning comes: an SVG keeps them as text, which a browser shows, a PNG shows boxes.
    """
    import matplotlib
    from matplotlib.font_manager import fontManager

    here = {font.name for font in fontManager.ttflist}
    fonts = [*matplotlib.rcParams["font.sans-serif"][:1], *(name for name in MORE_FONTS if name in here)]
    with matplotlib.rc_context({"font.sans-serif": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def as_svg(figure: Figure, name: str) -> str:
    """A plot as an `<svg>` element that scales with the page; `name` keeps its ids apart from those of others."""
    import matplotlib

    buffer = io.StringIO()
    settings: Any = {"svg.hashsalt": name, "svg.fonttype": "none"}
    with any_letters(), matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def as_plot_text(text: str) -> str:
    """Text that a plot shows as it is, on one line and not too long; matplotlib takes $...$ for mathematics."""
    line = printable(text)
    shown = line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS - 1]}…"
    return shown.replace("$", r"\$")


def _blank(width: float, height: float) -> Figure:
    # Not pyplot: no global state, no window system. Here, so that a command that draws nothing need not wait for it.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _new(width: float = 4.6, height: float = 3.2) -> tuple[Figure, Axes]:
    figure = _blank(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _dots(role: str) -> dict[str, Any]:
    style: dict[str, Any] = {"color": COLOURS[role], "linestyle": "none", "markersize": 8}
    if role != "unlearned":
        # Where they lie on one another all can be seen.
        style.update(markerfacecolor="none", markersize=11, markeredgewidth=1.6)
    return style


def _names_of(probes: Sequence[str]) -> list[str]:
    """As the table's rows, without their units."""
    titles = {row.key: row.title for row in ROWS}
    return [re.sub(r"(, recall)? %$|, (%|points)$", "", titles[key]) for key in probes]


def _inside(curves: Mapping[str, Any]) -> Figure:
    found = curves["inside"]
    names = _names_of(found["probes"])
    figure, axes = _new(4.8, 1.5 + 0.34 * len(names))
    for role, values in found["values"].items():
        style = _dots(role)
        places = [np.nan if value is None else value for value in values]
        axes.plot(places, range(len(names)), marker=MARKERS.get(role, "D"), label=NAMES[role], **style)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(-4, 104), ylim=(len(names) - 0.5, -0.6))
    axes.set_xlabel("found of what was to be forgotten, %\n(in a retrained model it is not 0 either)")
    figure.legend(frameon=False, ncols=3, loc="outside lower center")
    return figure


def _depth(curves: Mapping[str, Any]) -> Figure:
    depth = curves["depth"]
    names = _names_of(depth["probes"])
    figure, axes = _new(4.8, 1.5 + 0.34 * len(names))
    for place, floor in enumerate(depth["floors"]):
        if floor:
            axes.plot([100 - floor, 100 + floor], [place, place], color=COLOURS["retrained"], alpha=0.25, linewidth=9)
    axes.axvline(0, color=COLOURS["original"], linewidth=1.2)
    axes.axvline(100, color=COLOURS["retrained"], linewidth=1.2)
    for role, shares in depth["shares"].items():
        style = _dots(role)
        inside = [np.nan if share is None or not SHARES[0] <= share <= SHARES[1] else share for share in shares]
        axes.plot(inside, range(len(names)), marker=MARKERS[role], label=NAMES[role], **style)
        for place, share in enumerate(shares):
            if share is not None and not SHARES[0] <= share <= SHARES[1]:
                edge, marker = (SHARES[0], "<") if share < SHARES[0] else (SHARES[1], ">")
                axes.plot(edge, place, marker=marker, **style)
                axes.text(edge, place - 0.3, f"{share:.0f}", ha="center", fontsize=9, color=COLOURS[role])
    for place in range(len(names)):
        if all(shares[place] is None for shares in depth["shares"].values()):
            # Over the lines at both ends.
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.text(50, place, "tells nothing here", ha="center", va="center", fontsize=9, color="#5b6670", bbox=box)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="share of the way, %", xlim=(SHARES[0] - 8, SHARES[1] + 8), ylim=(len(names) - 0.5, -0.6))
    ends = axes.secondary_xaxis("top")
    ends.set_xticks([0, 100], [HEADINGS["original"], HEADINGS["retrained"]])
    ends.spines["top"].set_visible(False)
    ends.tick_params(length=0)
    figure.legend(frameon=False, ncols=3, loc="outside lower center")
    return figure


def _per_class(curves: Mapping[str, Any]) -> Figure:
    figure, axes = _new()
    accuracies, labels = curves["per_class_accuracy"], [as_plot_text(label) for label in curves["labels"]]
    places = np.arange(len(labels))
    width = 0.8 / len(accuracies)
    for number, (role, values) in enumerate(accuracies.items()):
        heights = [np.nan if value is None else value for value in values]
        axes.bar(places + (number + 0.5) * width - 0.4, heights, width, color=COLOURS[role], label=NAMES[role])
    _label_ticks(axes, labels)
    axes.set(ylabel=f"accuracy on the {curves['split']} set, %", ylim=(0, 104))
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _confidence(curves: Mapping[str, Any]) -> Figure:
    return _histogram(curves["confidence"], "probability of the true class, forget set")


def _sensitivity(curves: Mapping[str, Any]) -> Figure:
    return _histogram(curves["sensitivity"], "target sensitivity on the forget set, log10 ‖∇ₓ f_c‖²")


def _histogram(histogram: Mapping[str, Any], title: str) -> Figure:
    figure, axes = _new()
    edges = histogram["edges"]
    for role, shares in histogram.items():
        if role != "edges":
            axes.stairs(np.array(shares) * 100, edges, color=COLOURS[role], label=NAMES[role], linewidth=1.8)
    axes.set(xlabel=title, ylabel="share of samples, %")
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _roc(curves: Mapping[str, Any]) -> Figure:
    figure, axes = _new(4.2, 3.8)
    axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=1)
    for role, (false_rate, true_rate) in curves["roc"].items():
        axes.plot(false_rate, true_rate, color=COLOURS[role], label=NAMES[role], linewidth=1.8)
    axes.set(
        title=f"{curves['roc_attack']} attack",
        xlabel="unseen samples called members",
        ylabel="forget samples called members",
    )
    axes.legend(frameon=False, loc="lower right")
    return figure


def _confusion(curves: Mapping[str, Any]) -> Figure:
    matrices, labels = curves["confusion"], [as_plot_text(label) for label in curves["labels"]]
    figure = _blank(2.9 * len(matrices), 3.6)
    for axes, (role, counts) in zip(np.atleast_1d(figure.subplots(1, len(matrices))), matrices.items(), strict=True):
        matrix = np.array(counts, dtype=float)
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(NAMES[role], fontsize=10)
        _label_ticks(axes, [*labels, *(["another"] if matrix.shape[1] > len(labels) else [])])
        if axes is figure.axes[0]:
            every = axes.get_xticks()[axes.get_xticks() < len(labels)]
            axes.set_yticks(every, [labels[int(place)] for place in every], fontsize=9)
            axes.set_ylabel("label")
        else:
            axes.set_yticks([])
        axes.set_xlabel("answer")
    return figure


def _label_ticks(axes: Axes, labels: list[str]) -> None:
    step = -(-len(labels) // MOST_TICKS)
    places = range(0, len(labels), step)
    axes.set_xticks(list(places), [labels[place] for place in places], rotation=60, ha="right", fontsize=9)


PLOTS: dict[str, tuple[Callable[[Mapping[str, Any]], Figure], str]] = {
    "depth": (_depth, "depth"),
    "inside": (_inside, "inside"),
    "per_class_accuracy": (_per_class, "per_class_accuracy"),
    "confidence": (_confidence, "confidence"),
    "sensitivity": (_sensitivity, "sensitivity"),
    "roc": (_roc, "roc"),
    "confusion": (_confusion, "confusion"),
}
TITLES = {
    "depth": "How deep it goes",
    "inside": "What is still found inside",
    "per_class_accuracy": "Accuracy of each class",
    "confidence": "How sure of the forget set",
    "sensitivity": "Input sensitivity on the forget set",
    "roc": "Membership attack",
    "confusion": "What is taken for what",
}
