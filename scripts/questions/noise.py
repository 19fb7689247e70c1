"""Question 10: are mislabelled samples found by their sensitivity, and better than by their loss?

A share of the training labels is replaced by others at random. After some passes samples are ordered by each signal;
precision at k, k being the number planted, is the share of planted ones among the first k.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from .models import AUGMENTATION, RATES, Samples, load, new_model, train
from .question import Cell, Question, Rows, figure, grid, groups, table_of
from .signals import signals

DATASET, SHARE = "fashion-mnist:1500", 0.1
PASSES = 32
# When the order is taken: memory grows with the passes.
LOOKED_AT = (2, 8, 32)
TITLES = {
    "target": "own class",
    "irrelevant": "other classes",
    "log_ratio": "log ratio",
    "low_log_ratio": "lowest log ratio",
    "difference": "difference",
    "jitter": "jitter",
    "loss": "loss",
}


def plant(labels: torch.Tensor, num_labels: int, share: float, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Labels of which a share was replaced by another class, drawn uniformly, and where, `(samples,)` each."""
    rng = np.random.default_rng(seed)
    wrong = np.zeros(len(labels), bool)
    wrong[rng.permutation(len(labels))[: round(share * len(labels))]] = True
    shift = torch.from_numpy(rng.integers(1, num_labels, len(labels)) * wrong)
    return (labels + shift) % num_labels, wrong


def precision_at_k(scores: np.ndarray, planted: np.ndarray) -> float:
    """Percent of planted samples among the k highest scores, k being how many there are."""
    return 100 * float(planted[np.argsort(-scores, kind="stable")[: planted.sum()]].mean())


def measure(cell: Cell, source: Any) -> Iterator[dict[str, Any]]:
    """A row for each signal and number of passes."""
    samples, _ = load(source, DATASET)
    num_labels, seed = int(samples.labels.max()) + 1, cell["seed"]
    labels, planted = plant(samples.labels, num_labels, SHARE, seed)
    yield from found_while_training(
        new_model(cell["model"], num_labels, seed), Samples(samples.pixels, labels), planted, cell
    )


def found_while_training(model: Any, noisy: Samples, planted: np.ndarray, cell: Cell) -> list[dict[str, Any]]:
    """Train on samples with planted labels, looking at every signal on the way."""
    rows = []

    def look(passes: int) -> None:
        if passes in LOOKED_AT:
            found_by = signals(model, noisy)
            for name, scores in {**found_by, "low_log_ratio": -found_by["log_ratio"]}.items():
                found = {"precision": precision_at_k(scores, planted)}
                found["average_precision"] = 100 * float(average_precision_score(planted, scores))
                rows.append({"passes": passes, "signal": name, "planted": int(planted.sum()), **found})

    augmentation = AUGMENTATION if cell["augmentation"] == "yes" else ()
    train(model, noisy, PASSES, RATES[cell["model"]], cell["seed"], augmentation, look)
    return rows


def precision(rows: Rows, signal: str, passes: int) -> float:
    """Mean over seeds."""
    return float(np.mean([float(r["precision"]) for r in rows if r["signal"] == signal and int(r["passes"]) == passes]))


def table(rows: Rows) -> str:
    """Precision at k of each signal after few and many passes."""
    lines = []
    for (model, augmentation), chosen in groups(rows, "model", "augmentation").items():
        for passes in LOOKED_AT:
            cells = [f"{precision(chosen, signal, passes):.0f}" for signal in TITLES]
            lines.append([model, augmentation, str(passes), *cells])
    return table_of(["model", "augmentation", "passes", *TITLES.values()], lines)


def draw(rows: Rows) -> Any:
    """Precision at k over the passes."""
    panels = groups(rows, "model", "augmentation")
    chart, axes = figure(len(panels), sharey=True)
    for ax, ((model, augmentation), chosen) in zip(axes, panels.items(), strict=True):
        for signal, title in TITLES.items():
            ax.plot(LOOKED_AT, [precision(chosen, signal, passes) for passes in LOOKED_AT], "o-", label=title, ms=4)
        ax.axhline(100 * SHARE, color="grey", ls=":", label="by chance")
        ax.set(xscale="log", xlabel="passes over the data", title=f"{model}{', augmented' * (augmentation == 'yes')}")
        ax.set_xticks(LOOKED_AT, [str(passes) for passes in LOOKED_AT])
        ax.minorticks_off()
    axes[0].set_ylabel("planted among the first k, %")
    chart.legend(*axes[0].get_legend_handles_labels(), frameon=False, ncols=8, loc="outside lower center")
    return chart


QUESTION = Question(
    number="10",
    name="noise",
    cells=grid(model=["resnet", "vit"], augmentation=["no", "yes"], seed=[0, 1]),
    minutes=2.6,
    measure=measure,
    table=table,
    draw=draw,
)
