"""Question 8: how does the gap between the sensitivities grow in training?

Squared sensitivities of training and of test samples to the logit of their own class and of others, pass by pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .models import AUGMENTATION, RATES, Samples, load, new_model, percent_right, train
from .question import Cell, Question, Rows, figure, grid, groups, table_of
from .signals import contributions, losses

DATASET, PASSES = "fashion-mnist:1500", 40
LOOKED_AT = (0, 1, 2, 4, 8, 16, 28, 40)
SAMPLES = 300


def measure(cell: Cell, source: Any) -> list[dict[str, Any]]:
    """A row for each split and number of passes."""
    training, test = load(source, DATASET)
    model = new_model(cell["model"], int(training.labels.max()) + 1, cell["seed"])
    return course(model, training, test.first(SAMPLES), cell)


def course(model: Any, training: Samples, test: Samples, cell: Cell) -> list[dict[str, Any]]:
    """Train, and take both sensitivities on the way."""
    rows = []
    splits = {"train": training.first(SAMPLES), "test": test}

    def look(passes: int) -> None:
        if passes in LOOKED_AT:
            for name, samples in splits.items():
                found = {**contributions(model, samples), "loss": losses(model, samples)}
                means = {key: float(np.mean(found[key])) for key in ("target", "irrelevant", "log_ratio", "loss")}
                rows.append({"passes": passes, "split": name, **means, "accuracy": percent_right(model, samples)})

    augmentation = AUGMENTATION if cell["augmentation"] == "yes" else ()
    train(model, training, PASSES, RATES[cell["model"]], cell["seed"], augmentation, look)
    return rows


def at(rows: Rows, split: str, passes: int, column: str) -> float:
    """Mean over seeds."""
    return float(np.mean([float(r[column]) for r in rows if r["split"] == split and int(r["passes"]) == passes]))


def table(rows: Rows) -> str:
    """The log ratio on both splits, at a few places."""
    heads = ["model", "augmentation", "passes", "accuracy, train / test", "own class", "others", "log ratio"]
    lines = []
    for (model, augmentation), chosen in groups(rows, "model", "augmentation").items():
        for passes in (0, 2, 8, 16, LOOKED_AT[-1]):
            line = [model, augmentation, str(passes)]
            for column, digits in {"accuracy": 0, "target": 1, "irrelevant": 1, "log_ratio": 2}.items():
                pair = (at(chosen, split, passes, column) for split in ("train", "test"))
                line.append(" / ".join(f"{value:.{digits}f}" for value in pair))
            lines.append(line)
    return table_of(heads, lines)


def draw(rows: Rows) -> Any:
    """Sensitivities above, the log ratio below."""
    panels = groups(rows, "model", "augmentation")
    chart, axes = figure(len(panels), 2, height=2.8)
    for above, below, ((model, augmentation), chosen) in zip(
        axes[: len(panels)], axes[len(panels) :], panels.items(), strict=True
    ):
        for split, style in {"train": "-", "test": "--"}.items():
            for column, title, colour in (("target", "own class", "tab:red"), ("irrelevant", "others", "tab:blue")):
                values = [at(chosen, split, passes, column) for passes in LOOKED_AT]
                above.plot(LOOKED_AT, values, style, color=colour, label=f"{title}, {split}")
            below.plot(LOOKED_AT, [at(chosen, split, passes, "log_ratio") for passes in LOOKED_AT], style, label=split)
        above.set(yscale="log", title=f"{model}{', augmented' * (augmentation == 'yes')}")
        below.axhline(0, color="grey", lw=0.6)
        below.set_xlabel("passes over the data")
    axes[0].set_ylabel("mean squared sensitivity")
    axes[len(panels)].set_ylabel("mean log ratio")
    axes[0].legend(frameon=False, fontsize=7)
    axes[len(panels)].legend(frameon=False, fontsize=7)
    return chart


QUESTION = Question(
    number="8",
    name="growth",
    cells=(
        *grid(model=["resnet", "vit"], augmentation=["no", "yes"], seed=[0]),
        {"model": "resnet", "augmentation": "no", "seed": 1},
    ),
    minutes=1.6,
    measure=measure,
    table=table,
    draw=draw,
)
