"""Question 6: what happens to samples that were never seen, by their distance to the forget set?

The default unlearns a request. Held-out samples are sorted by the cosine distance of their features (the original's)
to the nearest forget sample, and cut into tenths: how far the answers move in each, beside how far a retrained model's
are from the original's, and how far another training seed's are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors
from study_runs import Measured, run_variant

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.evaluation import features_of

from .models import IMAGE_SIZE, RATES, Samples, load, logits_of, new_model, train
from .question import Cell, Question, Rows, figure, grid, groups, numbers, table_of

DATASET, PASSES, TENTHS = "fashion-mnist:800", 24, 10
REQUESTS = {
    "class:Pullover": ForgetRequest(classes=("Pullover",)),
    "random:5%": ForgetRequest(fraction=0.05),
}
CHANGES = {"unlearned": "unlearned", "retrained": "retrained", "another_seed": "retrained, another seed"}


def distances(forget: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Cosine distance of each held-out sample's features to those of the nearest forget sample, from 0 to 2.

    Args:
        forget, held_out: `(samples, width)`.
    """
    found, _ = NearestNeighbors(n_neighbors=1, metric="cosine").fit(forget).kneighbors(held_out)
    return found[:, 0]


def total_variation(logits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How far two answers are apart, sample by sample, from 0 to 1."""
    return 0.5 * np.abs(softmax(logits, axis=1) - softmax(others, axis=1)).sum(1)


def by_tenth(distance: np.ndarray, changes: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Means of each tenth of the samples, nearest first; over all the rank correlation with the distance."""
    # Where nothing changed there is no order.
    correlations = {
        f"{name}_rho": float(spearmanr(distance, change).statistic) if np.ptp(change) else 0.0
        for name, change in changes.items()
    }
    return [
        {
            "tenth": number,
            "distance": float(distance[rows].mean()),
            **{name: float(change[rows].mean()) for name, change in changes.items()},
            **correlations,
        }
        for number, rows in enumerate(np.array_split(np.argsort(distance, kind="stable"), TENTHS), start=1)
    ]


def measure(cell: Cell, source: Any) -> list[dict[str, Any]]:
    """A row for each tenth."""
    training, test = load(source, DATASET)
    splits = make_splits(source.load(DATASET), REQUESTS[cell["request"]], label_column_name="label")
    names = splits.label_names

    def trained(samples: Samples, seed: int) -> Any:
        return train(new_model(cell["model"], len(names), seed), samples, PASSES, RATES[cell["model"]], cell["seed"])

    left = training.at(splits.retain_indices)
    models = {
        "original": trained(training, cell["seed"]),
        "retrained": trained(left, cell["seed"]),
        # As far as chance goes: the same data, other weights at the start.
        "another_seed": trained(left, cell["seed"] + 100),
    }
    original = models["original"]
    # What an unlearned class's own samples do is no damage.
    held_out = test.at(~splits.test_forgotten) if splits.test_forgotten is not None else test
    before = {name: logits_of(model, held_out) for name, model in models.items()}
    original.config.id2label = dict(enumerate(names))
    original.config.label2id = {name: number for number, name in enumerate(names)}
    rows = np.arange(len(held_out))
    forget = training.at(splits.forget_indices)
    distance = distances(
        features_of(original, forget, np.arange(len(forget)))[0], features_of(original, held_out, rows)[0]
    )
    measured = Measured(splits, original.config, IMAGE_SIZE)
    unlearned, run = run_variant({}, original, measured, cell["seed"])
    changes = {
        "unlearned": total_variation(before["original"], logits_of(unlearned, held_out)),
        "retrained": total_variation(before["original"], before["retrained"]),
        "another_seed": total_variation(before["retrained"], before["another_seed"]),
    }
    return [{**row, "steps": run["steps"], "stopped": run["stopped"]} for row in by_tenth(distance, changes)]


def table(rows: Rows) -> str:
    """Change in the nearest and in the farthest tenth, and the rank correlation with the distance; means over seeds."""
    lines = []
    for (model, request), chosen in groups(rows, "model", "request").items():
        ends = [[row for row in chosen if row["tenth"] == tenth] for tenth in ("1", str(TENTHS))]
        for name, title in CHANGES.items():
            means = [f"{np.mean(numbers(end, name)):.3f}" for end in ends]
            lines.append([model, request, title, *means, f"{np.mean(numbers(chosen, f'{name}_rho')):.2f}"])
    return table_of(["model", "request", "", "nearest tenth", "farthest tenth", "rank correlation"], lines)


def draw(rows: Rows) -> Any:
    """Change by tenth."""
    panels = groups(rows, "model", "request")
    chart, axes = figure(len(panels), width=3.2, sharey=True)
    for ax, ((model, request), chosen) in zip(axes, panels.items(), strict=True):
        for name, title in CHANGES.items():
            points = {int(tenth): np.mean(numbers(each, name)) for (tenth,), each in groups(chosen, "tenth").items()}
            ax.plot(list(points), list(points.values()), "o-", ms=3, label=title)
        ax.set(title=f"{model}, {request}", xlabel="tenth, nearest first")
    axes[0].set_ylabel("total variation of answers")
    axes[0].legend(frameon=False, fontsize=7)
    return chart


QUESTION = Question(
    number="6",
    name="distance",
    cells=grid(seed=[0], model=["resnet", "vit"], request=list(REQUESTS)),
    minutes=2,
    measure=measure,
    table=table,
    draw=draw,
)
