"""Questions 2 and 3: why the relative form?

A class is unlearned with each thing that one can do with the sensitivities, in steps of the same relative length on the
forget samples alone, and measured on the way: forget accuracy against accuracy on the other classes' test samples. No
guard holds the rest of the model: the objectives are seen bare. The large network is the study of regimes' ResNet-18.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from regime_grid import CASES
from regime_models import ARCHITECTURES

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.metrics.accuracies import GAP_FIGURES, average_gap
from hf_unlearn.objectives import (
    RelativeSGD,
    difference_loss,
    double_backward,
    draw_irrelevant_classes,
    log_ratio_loss,
    matched_loss,
    squared_input_sensitivities,
)

from .models import AUGMENTATION, RATES, Samples, load, logits_of, new_model, percent_right, train
from .question import Cell, Question, Rows, figure, grid, groups, table_of
from .signals import contributions

DATASET, FORGOTTEN, TEST_SAMPLES = "fashion-mnist:800", 2, 600
# Passes and augmentation.
REGIMES: dict[str, tuple[int, tuple[str, ...]]] = {
    "early": (6, ()),
    "memorised": (24, ()),
    "augmented": (24, AUGMENTATION),
}
# Trained there for a few passes, without augmentation.
LARGE = next(case for case in CASES if case.recipe.architecture == "resnet-18")
STEPS, EVERY, STEP_LENGTH, BATCH = 40, 4, 2e-3, 32
# Few enough left to call it forgotten, percent.
FORGOTTEN_AT = 5.0
Loss = Callable[..., torch.Tensor]
Sensitivities = Callable[[Any, Samples, torch.Generator], tuple[torch.Tensor, ...]]


def losses(level: float) -> dict[str, Loss]:
    """Target and irrelevant sensitivities of a batch to what is minimised, by name.

    Args:
        level: where `matched` brings the target's: the mean irrelevant one of the original.
    """
    return {
        "target only": lambda target, other: difference_loss(target, other, 1.0, 0.0),
        "irrelevant only": lambda target, other: difference_loss(target, other, 0.0, 1.0),
        "difference": difference_loss,
        "log ratio": log_ratio_loss,
        "matched": lambda target, other: matched_loss(target, level),
    }


def sensitivities_of(model: Any, samples: Samples, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Of the own and of one drawn class, to be differentiated with respect to the weights, `(samples,)` each."""
    pixels = samples.pixels.clone().requires_grad_()
    logits = model(pixel_values=pixels)["logits"]
    irrelevant = draw_irrelevant_classes(samples.labels, logits.shape[1], generator)
    return squared_input_sensitivities(logits, pixels, samples.labels, irrelevant)


def descend(
    model: Any,
    forget: Samples,
    loss: Loss,
    steps: int,
    length: float,
    seed: int,
    after: Callable[[int], None] | None = None,
    sensitivities: Sensitivities = sensitivities_of,
) -> None:
    """Steps of a share `length` of the weights' norm against the gradient, in place, in eval mode.

    Args:
        loss: what `sensitivities` gives of a batch to one value a sample.
        after: called with the number of steps made, before the first one, too.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = RelativeSGD([weight for weight in model.parameters() if weight.requires_grad], lr=length)
    model.eval()
    for step in range(steps + 1):
        if after is not None:
            after(step)
        if step == steps:
            return
        batch = forget.at(torch.randperm(len(forget), generator=generator)[:BATCH])
        optimizer.zero_grad()
        with double_backward():
            loss(*sensitivities(model, batch, generator)).mean().backward()
        optimizer.step()


class Setting(NamedTuple):
    """A trained model, the samples of the class that goes, test samples, and a model trained without the class."""

    original: Any
    forget: Samples
    test: Samples
    retrained: Any


def small_setting(cell: Cell, source: Any) -> Setting:
    """Trained here, in a moment."""
    training, test = load(source, DATASET)
    kind, (passes, augmentation) = cell["model"], REGIMES[cell["regime"]]
    num_labels = int(training.labels.max()) + 1
    gone = training.labels == FORGOTTEN

    def trained(samples: Samples) -> Any:
        model = new_model(kind, num_labels, cell["seed"], cell["width"])
        return train(model, samples, passes, RATES[kind], cell["seed"], augmentation)

    return Setting(trained(training), training.at(gone), test.first(TEST_SAMPLES), trained(training.at(~gone)))


def large_setting(seed: int, source: Any) -> Setting:
    """The study of regimes' largest network, which is kept there."""
    recipe, request = LARGE.recipe.with_seed(seed), LARGE.requests[0]
    training, test = load(source, recipe.dataset, ARCHITECTURES[recipe.architecture].image_size, num_channels=3)
    (name,) = request.request.classes
    gone = training.labels == source.load(recipe.dataset)["train"].features["label"].names.index(name)
    left_out = np.flatnonzero(gone.numpy())
    original, retrained = (
        source.trained.model(LARGE.regime, recipe, *named) for named in (("original",), (request.name, left_out))
    )
    # They lie font by font, in the order of the classes.
    return Setting(original, training.at(gone), test.at(evenly_spaced(len(test), TEST_SAMPLES)), retrained)


def measure(cell: Cell, source: Any) -> list[dict[str, Any]]:
    """A row for each objective and point of its course, and one of the retrained model."""
    is_large = cell["regime"] == LARGE.regime
    original, forget, test, retrained = large_setting(cell["seed"], source) if is_large else small_setting(cell, source)
    weights = {name: value.clone() for name, value in original.state_dict().items()}
    target = figures(retrained, forget, test)
    rows = [{"objective": "retrained", "step": 0, **target, "gap": 0.0}]
    level = float(contributions(original, forget)["irrelevant"].mean())
    for name, loss in losses(level).items():
        original.load_state_dict(weights)

        def look(step: int, name: str = name) -> None:
            if step % EVERY == 0:
                found = figures(original, forget, test)
                rows.append({"objective": name, "step": step, **found, "gap": average_gap(found, target)})

        descend(original, forget, loss, STEPS, STEP_LENGTH, cell["seed"], look)
    return rows


def figures(model: Any, forget: Samples, test: Samples) -> dict[str, Any]:
    """What the gap is made of, percent: forget samples, test samples of the other classes, all test samples."""
    others = (test.labels != forget.labels[0]).numpy()
    right = logits_of(model, test).argmax(1) == test.labels.numpy()
    values = (percent_right(model, forget), 100 * float(right[others].mean()), 100 * float(right.mean()))
    return dict(zip(GAP_FIGURES, values, strict=True))


def end(rows: Rows, objective: str) -> tuple[float | None, float]:
    """Accuracy on the other classes where the class is first forgotten (None if it never is), and the least gap."""
    course = [row for row in rows if row["objective"] == objective]
    there = [float(row["test_accuracy_remaining"]) for row in course if float(row["forget_accuracy"]) <= FORGOTTEN_AT]
    return (there[0] if there else None), min(float(row["gap"]) for row in course)


NAMES = ("target only", "irrelevant only", "difference", "log ratio", "matched")


def table(rows: Rows) -> str:
    """What is left of the others where the class is forgotten, and the least gap of the course; means over seeds."""
    lines = []
    for (model, width, regime), chosen in groups(rows, "model", "width", "regime").items():
        seeds = groups(chosen, "seed").values()
        cells = []
        for name in NAMES:
            ends = [end(each, name) for each in seeds]
            reached = [left for left, _ in ends if left is not None]
            left = f"{np.mean(reached):.0f}" if reached else "never"
            left += f" ({len(reached)} of {len(ends)})" if 0 < len(reached) < len(ends) else ""
            cells.append(f"{left}; {np.mean([gap for _, gap in ends]):.1f}")
        retrained = np.mean([float(r["test_accuracy_remaining"]) for r in chosen if r["objective"] == "retrained"])
        lines.append([f"{model}, {width}×", regime, f"{retrained:.0f}", *cells])
    return table_of(["model", "regime", "retrained", *NAMES], lines)


def draw(rows: Rows) -> Any:
    """The courses of the first seed."""
    panels = groups([row for row in rows if row["seed"] == "0"], "model", "width", "regime")
    chart, axes = figure(3, -(-len(panels) // 3), width=3.2, height=2.8, sharex=True, sharey=True)
    for ax, ((model, width, regime), chosen) in zip(axes, panels.items(), strict=False):
        for name in (*NAMES, "retrained"):
            course = [row for row in chosen if row["objective"] == name]
            across, up = ([float(r[key]) for r in course] for key in ("forget_accuracy", "test_accuracy_remaining"))
            ax.plot(across, up, "k*" if name == "retrained" else "o-", label=name, ms=3 if len(course) > 1 else 11)
        ax.set_title(f"{model}, {width}×, {regime}", fontsize=9)
    for ax in axes[len(panels) :]:
        ax.remove()
    axes[0].invert_xaxis()
    axes[0].legend(frameon=False, fontsize=7)
    chart.supxlabel("forget accuracy, %")
    chart.supylabel("test accuracy, other classes, %")
    return chart


QUESTION = Question(
    number="2 and 3",
    name="objectives",
    cells=(
        *grid(seed=[0, 1], width=[1], model=["resnet", "vit"], regime=list(REGIMES)),
        *grid(seed=[0], width=[4], model=["resnet", "vit"], regime=["memorised"]),
        *grid(seed=[0, 1], width=[1], model=["resnet-18"], regime=[LARGE.regime]),
    ),
    minutes=9,
    measure=measure,
    table=table,
    draw=draw,
)
