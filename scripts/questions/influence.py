"""Question 1: when does sensitivity fail to show contribution?

What a sample contributes is measured by retraining: models trained on random halves of the data, those with the sample
against those without (memorisation as Feldman and Zhang estimate it, arXiv 2008.03703, Eq. 2). Its rank correlation
with each signal of one model trained on everything says how well that signal shows it. How well a signal could do at
best follows from how well one half of the retrained models ranks what the other half ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import spearmanr

from .models import AUGMENTATION, RATES, Samples, load, logits_of, new_model, train
from .question import Cell, Question, Rows, figure, grid, groups, numbers, table_of
from .signals import SIGNALS, signals

DATASET, RETRAININGS, SCORED = "fashion-mnist:400", 32, 400
LONG, SHORT = 20, 5
TITLES = {
    "target": "own class",
    "irrelevant": "other classes",
    "log_ratio": "log ratio",
    "difference": "difference",
    "jitter": "jitter",
    "loss": "loss",
}
# Name: architecture, normalisation, passes, augmentation.
SETTINGS: dict[str, tuple[str, str, int, tuple[str, ...]]] = {
    "ResNet": ("resnet", "", LONG, ()),
    "ResNet, GroupNorm": ("resnet", "group", LONG, ()),
    "ResNet, no norm": ("resnet", "none", LONG, ()),
    "ResNet, short": ("resnet", "", SHORT, ()),
    "ResNet, augmented": ("resnet", "", LONG, AUGMENTATION),
    "ViT": ("vit", "", LONG, ()),
    "ViT, short": ("vit", "", SHORT, ()),
    "ViT, augmented": ("vit", "", LONG, AUGMENTATION),
}


def halves(count: int, retrainings: int, seed: int) -> np.ndarray:
    """Which samples each retraining has: `(retrainings, samples)`, in pairs that are each other's complement."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(retrainings // 2):
        inside = np.zeros(count, bool)
        inside[rng.permutation(count)[: count // 2]] = True
        rows += [inside, ~inside]
    return np.array(rows)


def effect_of_presence(inside: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of each sample the mean score of models with it less that of models without it (arXiv 2008.03703, Eq. 2).

    Args:
        inside: `(models, samples)`: was it in the training set?
        scores: `(models, samples)`: of the model on the sample, for instance whether it is right.
    """
    with_it = (scores * inside).sum(0) / inside.sum(0)
    without = (scores * ~inside).sum(0) / (~inside).sum(0)
    return with_it - without


def own_probability(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of each sample's label, `(samples,)`."""
    return softmax(logits, axis=1)[np.arange(len(labels)), labels]


def measure(cell: Cell, source: Any) -> list[dict[str, Any]]:
    """A row for each scored sample."""
    training, _ = load(source, DATASET)
    kind, norm, passes, augmentation = SETTINGS[cell["setting"]]
    num_labels = int(training.labels.max()) + 1

    def trained(samples: Samples, seed: int) -> Any:
        model = new_model(kind, num_labels, seed, norm=norm)
        return train(model, samples, passes, RATES[kind], seed, augmentation)

    return contributions_and_signals(trained, training, RETRAININGS, cell["seed"])


def contributions_and_signals(trained: Any, training: Samples, retrainings: int, seed: int) -> list[dict[str, Any]]:
    """Retrain on halves, and look at a model of everything.

    Args:
        trained: samples and a seed to a model trained on them.
    """
    inside = halves(len(training), retrainings, seed)
    labels = training.labels.numpy()
    logits = np.array([logits_of(trained(training.at(half), number), training) for number, half in enumerate(inside)])
    own = np.array([own_probability(each, labels) for each in logits])
    # Each half has whole pairs, so that every sample is in some models of it and not in others.
    middle = len(inside) // 4 * 2
    right = effect_of_presence(inside, logits.argmax(2) == labels)
    probability, first, second = (
        effect_of_presence(inside[part], own[part]) for part in (slice(None), slice(middle), slice(middle, None))
    )
    found = signals(trained(training, seed), training.first(SCORED), seed)
    return [
        {
            "sample": row,
            "memorisation": float(right[row]),
            "contribution": float(probability[row]),
            "by_first_half": float(first[row]),
            "by_second_half": float(second[row]),
            **{name: float(values[row]) for name, values in found.items()},
        }
        for row in range(len(found[SIGNALS[0]]))
    ]


def correlation(rows: Rows, signal: str) -> tuple[float, float]:
    """Spearman's ρ with the contribution to the own probability: mean over seeds, and half of the range."""
    found = [rank_correlation(chosen, signal, "contribution") for chosen in groups(rows, "seed").values()]
    return float(np.mean(found)), (max(found) - min(found)) / 2


def rank_correlation(rows: Rows, one: str, other: str) -> float:
    """Spearman's ρ of two columns."""
    return float(spearmanr(numbers(rows, one), numbers(rows, other)).statistic)


def ceiling(rows: Rows) -> float:
    """The rank correlation that a perfect signal would have with the measured contribution, in the mean over seeds.

    The two halves of the retrained models correlate by r. All of them have the reliability 2 r / (1 + r)
    (Spearman and Brown, 1910), and the true value correlates with what was measured by its square root.
    """
    halved = [
        max(0.0, rank_correlation(chosen, "by_first_half", "by_second_half"))
        for chosen in groups(rows, "seed").values()
    ]
    return float(np.mean([np.sqrt(2 * each / (1 + each)) for each in halved]))


def table(rows: Rows) -> str:
    """Rank correlation of each signal with the measured contribution, setting by setting."""
    lines = []
    for (setting,), chosen in groups(rows, "setting").items():
        memorised = np.mean(np.array(numbers(chosen, "memorisation")) > 0.25)
        cells = [f"{correlation(chosen, signal)[0]:.2f}" for signal in SIGNALS]
        lines.append([setting, f"{100 * memorised:.0f} %", f"{ceiling(chosen):.2f}", *cells])
    return table_of(["model", "memorised", "at best", *TITLES.values()], lines)


def draw(rows: Rows) -> Any:
    """Bars of the correlations by setting."""
    chart, (ax,) = figure(1, width=11)
    panels = groups(rows, "setting")
    for place, (signal, title) in enumerate(TITLES.items()):
        found = [correlation(chosen, signal) for chosen in panels.values()]
        across = np.arange(len(panels)) + 0.13 * (place - 2.5)
        ax.bar(across, [mean for mean, _ in found], 0.12, yerr=[half for _, half in found], label=title, ecolor="grey")
    best = [ceiling(chosen) for chosen in panels.values()]
    ax.hlines(best, *(np.arange(len(panels)) + side for side in (-0.42, 0.42)), color="black", ls=":", label="at best")
    ax.axhline(0, color="black", lw=0.6)
    ax.set_xticks(range(len(panels)), [setting.replace(", ", ",\n") for (setting,) in panels])
    ax.set_ylabel("rank correlation with\nmeasured contribution")
    ax.legend(frameon=False, ncols=7, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.15))
    return chart


QUESTION = Question(
    number="1",
    name="influence",
    cells=grid(seed=[0, 1], setting=list(SETTINGS)),
    minutes=7,
    measure=measure,
    table=table,
    draw=draw,
)
