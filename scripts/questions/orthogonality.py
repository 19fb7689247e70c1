"""Question 4: are the gradients of two samples' sensitivities orthogonal, and does the damage to the rest follow them?

Gradients of the objective with respect to the weights, sample by sample; their cosines within and between classes,
against the network's width and the number of classes. Then each class is unlearned for a few steps, and the loss of
every other class on test samples is held against the cosine between the two classes' gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.objectives import double_backward

from .models import RATES, Samples, load, new_model, percent_right, train
from .objectives import Loss, descend, losses, sensitivities_of
from .question import Cell, Question, Rows, figure, groups, numbers, table_of
from .signals import losses as losses_of_samples

DATASET = "characters:30"
# Sample passes of a training, so that every network makes as many steps.
SEEN = 6_000
CLASSES, SAMPLES = 6, 6
STEPS, STEP_LENGTH = 6, 2e-3
OBJECTIVES = {"difference": "difference", "log ratio": "log ratio"}


def subset(samples: Samples, classes: np.ndarray) -> Samples:
    """The samples of some classes, with those as the only labels."""
    chosen = samples.at(np.isin(samples.labels.numpy(), classes))
    return Samples(chosen.pixels, torch.from_numpy(np.searchsorted(classes, chosen.labels.numpy())))


def gradients(model: Any, samples: Samples, loss: Loss, seed: int = 0) -> torch.Tensor:
    """The gradient of each sample's objective with respect to all weights, `(samples, weights)`, of length 1."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found = []
    for row in range(len(samples)):
        # The irrelevant class is another draw for each sample.
        generator = torch.Generator().manual_seed(seed * len(samples) + row)
        with double_backward():
            value = loss(*sensitivities_of(model.eval(), samples.at([row]), generator)).sum()
            grads = torch.autograd.grad(value, weights, allow_unused=True)
        flat = torch.cat([grad.flatten() for grad in grads if grad is not None])
        found.append(flat / flat.norm().clamp_min(torch.finfo(flat.dtype).tiny))
    return torch.stack(found)


def cosines(unit: torch.Tensor, labels: np.ndarray) -> np.ndarray:
    """Mean cosine between samples of each two classes, a sample with itself left out: `(classes, classes)`.

    Args:
        unit: `(samples, weights)`, rows of length 1.
        labels: `(samples,)`.
    """
    between = (unit @ unit.T).double().numpy()
    np.fill_diagonal(between, np.nan)
    classes = np.unique(labels)
    return np.array([[np.nanmean(between[np.ix_(labels == a, labels == b)]) for b in classes] for a in classes])


def measure(cell: Cell, source: Any) -> list[dict[str, Any]]:
    """A row for each objective and pair of classes, the forgotten one first."""
    classes = evenly_spaced(94, cell["classes"])
    training, test = (subset(samples, classes) for samples in load(source, DATASET))
    model = new_model(cell["model"], cell["classes"], cell["seed"], cell["width"])
    train(model, training, max(1, SEEN // len(training)), RATES[cell["model"]], cell["seed"])
    accuracy = percent_right(model, test)
    return [{"test_accuracy": accuracy, **row} for row in pairs(model, training, test, cell["seed"])]


def pairs(model: Any, training: Samples, test: Samples, seed: int) -> list[dict[str, Any]]:
    """What is measured of a trained model, pair by pair of some classes."""
    shown = evenly_spaced(int(training.labels.max()) + 1, CLASSES)
    rows_of = {label: torch.nonzero(training.labels == label)[:, 0] for label in shown.tolist()}
    some = training.at(torch.cat([rows[:SAMPLES] for rows in rows_of.values()]))
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = by_class(model, test, shown)
    found = []
    for name in OBJECTIVES:
        loss = losses(1.0)[name]
        between = cosines(gradients(model, some, loss, seed), some.labels.numpy())
        for place, label in enumerate(shown.tolist()):
            descend(model, training.at(rows_of[label]), loss, STEPS, STEP_LENGTH, seed)
            after = by_class(model, test, shown)
            model.load_state_dict(weights)
            for other, (old, new) in enumerate(zip(before, after, strict=True)):
                found.append(
                    {
                        "objective": name,
                        "forgotten": label,
                        "other": int(shown[other]),
                        "cosine": float(between[place, other]),
                        "loss_rise": new[0] - old[0],
                        "accuracy_fall": old[1] - new[1],
                    }
                )
    return found


def by_class(model: Any, test: Samples, classes: np.ndarray) -> list[tuple[float, float]]:
    """Mean loss, nats, and accuracy, percent, of each class's samples."""
    loss, labels = losses_of_samples(model, test), test.labels.numpy()
    return [(float(loss[labels == label].mean()), percent_right(model, test.at(labels == label))) for label in classes]


def summary(rows: Rows) -> dict[str, float]:
    """Of one network and objective: mean cosines, what both kinds of classes lose, and the rank correlation."""
    own = [row for row in rows if row["forgotten"] == row["other"]]
    rest = [row for row in rows if row["forgotten"] != row["other"]]
    return {
        "within": float(np.mean(numbers(own, "cosine"))),
        "between": float(np.mean(numbers(rest, "cosine"))),
        "size": float(np.mean(np.abs(numbers(rest, "cosine")))),
        "forgotten": float(np.mean(numbers(own, "accuracy_fall"))),
        "damage": float(np.mean(numbers(rest, "accuracy_fall"))),
        "correlation": float(spearmanr(numbers(rest, "cosine"), numbers(rest, "loss_rise")).statistic),
    }


def table(rows: Rows) -> str:
    """Cosines and damage by network."""
    lines = []
    for (model, width, classes, objective), chosen in groups(rows, "model", "width", "classes", "objective").items():
        found = summary(chosen)
        lines.append(
            [
                f"{model}, {width}×",
                classes,
                objective,
                *(f"{found[key]:.2f}" for key in ("within", "between")),
                *(f"{found[key]:.0f}" for key in ("forgotten", "damage")),
                f"{found['correlation']:.2f}",
            ]
        )
    heads = ["model", "classes", "objective", "cosine within a class", "between classes"]
    heads += ["forgotten class loses, points", "others lose, points", "rank correlation of cosine and damage"]
    return table_of(heads, lines)


def draw(rows: Rows) -> Any:
    """Cosines against width and against the number of classes; the damage against the cosine."""
    chart, (by_width, by_classes, damage) = figure(3)
    ratio = [row for row in rows if row["objective"] == "log ratio"]
    for key, style in {"within": "o-", "between": "s--"}.items():
        for model, colour in {"resnet": "tab:red", "vit": "tab:blue"}.items():
            chosen = [row for row in ratio if (row["model"], row["classes"]) == (model, "10")]
            points = {int(width): summary(each)[key] for (width,), each in groups(chosen, "width").items()}
            by_width.plot(list(points), list(points.values()), style, color=colour, label=f"{model}, {key}")
        chosen = [row for row in ratio if (row["model"], row["width"]) == ("resnet", "1")]
        points = {int(count): summary(each)[key] for (count,), each in groups(chosen, "classes").items()}
        points = dict(sorted(points.items()))
        by_classes.plot(list(points), list(points.values()), style, color="tab:red", label=f"resnet, {key}")
    for (model,), each in groups([row for row in ratio if row["classes"] == "10"], "model").items():
        pairs_of = [row for row in each if row["forgotten"] != row["other"]]
        damage.plot(numbers(pairs_of, "cosine"), numbers(pairs_of, "loss_rise"), ".", label=model, alpha=0.6)
    by_width.set(xlabel="width", ylabel="mean cosine of gradients", xticks=[1, 2, 4], title="10 classes")
    by_classes.set(xlabel="classes", xscale="log", title="resnet, 1×")
    damage.set(xlabel="mean cosine of two classes", ylabel="rise of the other's loss, nats", title="10 classes")
    damage.set_yscale("symlog", linthresh=0.1)
    for ax in (by_width, by_classes, damage):
        ax.axhline(0, color="grey", lw=0.6)
        ax.legend(frameon=False, fontsize=7)
    return chart


def _cell(model: str, width: int, classes: int) -> Cell:
    return {"model": model, "width": width, "classes": classes, "seed": 0}


QUESTION = Question(
    number="4",
    name="orthogonality",
    cells=(
        *(_cell("resnet", 1, classes) for classes in (10, 5, 40)),
        _cell("resnet", 2, 10),
        _cell("vit", 1, 10),
        _cell("vit", 2, 10),
        _cell("resnet", 4, 10),
    ),
    minutes=2,
    measure=measure,
    table=table,
    draw=draw,
)
