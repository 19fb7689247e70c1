"""Question 9: does a regression show its training samples by their sensitivity, and does suppressing it forget?

A small network says by how much a character was turned. Its input sensitivity ‖∇ₓ f‖² on training samples is held
against that on test samples, beside the error and the fall under jitter. Then the sensitivity of forget samples is
brought down, or up, in relative steps, and the error on them is held against a network that never saw them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation import jittered
from hf_unlearn.objectives import squared_input_sensitivities
from hf_unlearn.objectives.affine import moved

from .models import RATES, Samples, load, logits_of, new_model, train
from .objectives import descend
from .orthogonality import subset
from .question import Cell, Question, Rows, figure, grid, groups, table_of
from .signals import STRENGTH, losses

DATASET, CHARACTERS, FORGOTTEN = "characters:40", "247FGJPRky", "R"
MOST_DEGREES = 60.0
PASSES, RANDOM_SHARE = 60, 0.1
STEPS, EVERY, STEP_LENGTH = 24, 3, 3e-4
# What is minimised of the squared sensitivity.
DIRECTIONS = {"suppress": 1.0, "raise": -1.0}
ALL = "all seen"


def rotated(samples: Samples, seed: int) -> Samples:
    """Each image turned by an angle of its own; the label is that angle as a share of the largest, from −1 to 1."""
    angles = 2 * torch.rand(len(samples), generator=torch.Generator().manual_seed(seed)) - 1
    radians = angles * np.deg2rad(MOST_DEGREES)
    zero = torch.zeros_like(radians)
    maps = torch.stack([radians.cos(), -radians.sin(), zero, radians.sin(), radians.cos(), zero], 1).view(-1, 2, 3)
    return Samples(moved(samples.pixels, maps, "border"), angles)


def squared_sensitivity(model: Any, samples: Samples) -> torch.Tensor:
    """‖∇ₓ f‖² of each sample, `(samples,)`, to be differentiated."""
    pixels = samples.pixels.clone().requires_grad_()
    logits = model(pixel_values=pixels)["logits"]
    (found,) = squared_input_sensitivities(logits, pixels, torch.zeros(len(samples), dtype=torch.long))
    return found


def degrees(model: Any, samples: Samples) -> float:
    """Mean absolute error."""
    return MOST_DEGREES * float(np.abs(logits_of(model, samples)[:, 0] - samples.labels.numpy()).mean())


def seen_or_not(model: Any, seen: Samples, unseen: Samples) -> dict[str, float]:
    """How well each signal tells the two: AUC in percent, 50 by chance; above, the seen ones have more of it."""
    truth = np.repeat([1, 0], [len(seen), len(unseen)])

    def auc(of: Any) -> float:
        return 100 * float(roc_auc_score(truth, np.concatenate([of(seen), of(unseen)])))

    def fall(samples: Samples) -> np.ndarray:
        moved_copies = Samples(jittered(samples.pixels, STRENGTH), samples.labels)
        return losses(model, moved_copies) - losses(model, samples)

    return {
        "auc_sensitivity": auc(lambda samples: squared_sensitivity(model, samples).detach().numpy()),
        "auc_jitter": auc(fall),
        "auc_error": auc(lambda samples: -losses(model, samples)),
    }


def measure(cell: Cell, source: Any) -> list[dict[str, Any]]:
    """A row for each request, direction and point of its course."""
    names = source.load(DATASET)["train"].features["label"].names
    classes = np.sort([names.index(name) for name in CHARACTERS])
    splits = [subset(samples, classes) for samples in load(source, DATASET)]
    training, test = (rotated(samples, seed) for seed, samples in enumerate(splits))
    character = int(np.searchsorted(classes, names.index(FORGOTTEN)))
    drawn = np.random.default_rng(cell["seed"]).random(len(training)) < RANDOM_SHARE
    requests = {
        f"random {RANDOM_SHARE:.0%}": (drawn, np.ones(len(test), bool)),
        f"character {FORGOTTEN}": tuple((samples.labels == character).numpy() for samples in splits),
    }

    def trained(samples: Samples) -> Any:
        model = new_model(cell["model"], 1, cell["seed"])
        return train(model, samples, PASSES, RATES[cell["model"]], cell["seed"])

    original = trained(training)
    everything = np.ones(len(training), bool)
    rows = [{"request": ALL, "direction": "original", "step": 0, **figures(original, training, test, everything)}]
    weights = {name: value.clone() for name, value in original.state_dict().items()}
    for request, (gone, like) in requests.items():
        # Unseen samples of the same kind, which tell what was learned from what was seen.
        unseen = test.at(like)
        retrained = figures(trained(training.at(~gone)), training, unseen, gone)
        rows.append({"request": request, "direction": "retrained", "step": 0, **retrained})
        for direction, sign in DIRECTIONS.items():
            original.load_state_dict(weights)
            rows += course(original, training, unseen, gone, {"request": request, "direction": direction}, sign)
    return rows


def course(
    model: Any, training: Samples, unseen: Samples, gone: np.ndarray, named: dict[str, Any], sign: float
) -> list[dict[str, Any]]:
    """Bring the sensitivity of the forget samples down (`sign` 1) or up (−1), in place."""
    rows = []

    def look(step: int) -> None:
        if step % EVERY == 0:
            rows.append({**named, "step": step, **figures(model, training, unseen, gone)})

    descend(
        model,
        training.at(gone),
        lambda found: sign * found.clamp_min(torch.finfo(found.dtype).tiny).log(),
        STEPS,
        STEP_LENGTH,
        0,
        look,
        lambda model, batch, _: (squared_sensitivity(model, batch),),
    )
    return rows


def figures(model: Any, training: Samples, unseen: Samples, gone: np.ndarray) -> dict[str, float]:
    """Errors in degrees, mean squared sensitivities, and what tells forget samples from unseen ones."""
    forget = training.at(gone)
    rest = training.at(~gone if not gone.all() else gone)
    rest = rest.at(evenly_spaced(len(rest), 200))
    return {
        "forget_error": degrees(model, forget),
        "rest_error": degrees(model, rest),
        "unseen_error": degrees(model, unseen),
        "forget_sensitivity": float(squared_sensitivity(model, forget).detach().mean()),
        "unseen_sensitivity": float(squared_sensitivity(model, unseen).detach().mean()),
        **seen_or_not(model, forget, unseen),
    }


def nearest(rows: Rows, request: str, direction: str) -> dict[str, float]:
    """Mean over seeds of the point of each course whose forget error is nearest to the retrained model's."""
    found = []
    for (_,), chosen in groups([row for row in rows if row["request"] == request], "seed").items():
        aim = next(float(row["forget_error"]) for row in chosen if row["direction"] == "retrained")
        points = [row for row in chosen if row["direction"] == direction]
        best = min(points, key=lambda row: abs(float(row["forget_error"]) - aim))
        found.append({name: float(best[name]) for name in COLUMNS})
    return {name: float(np.mean([each[name] for each in found])) for name in COLUMNS}


COLUMNS = {
    "step": ("step", 0),
    "forget_error": ("forget error, °", 1),
    "rest_error": ("rest of training, °", 1),
    "unseen_error": ("unseen, °", 1),
    "auc_sensitivity": ("AUC of sensitivity, %", 0),
    "auc_jitter": ("of jitter, %", 0),
    "auc_error": ("of error, %", 0),
}


def table(rows: Rows) -> str:
    """The original's seen and unseen samples; then each request, where a course comes nearest to retraining."""
    lines = []
    for (model,), chosen in groups(rows, "model").items():
        first = [row for row in chosen if row["request"] == ALL]
        means = {name: float(np.mean([float(row[name]) for row in first])) for name in COLUMNS}
        lines.append([model, ALL, "original", *cells(means)])
        for request in dict.fromkeys(row["request"] for row in chosen if row["request"] != ALL):
            for direction in ("retrained", *DIRECTIONS):
                lines.append([model, request, direction, *cells(nearest(chosen, request, direction))])
    return table_of(["model", "request", "", *(title for title, _ in COLUMNS.values())], lines)


def cells(means: dict[str, float]) -> list[str]:
    """Figures as they are shown."""
    return [f"{means[name]:.{digits}f}" for name, (_, digits) in COLUMNS.items()]


def draw(rows: Rows) -> Any:
    """Error on forget samples against error on the rest of training, along the courses of the first seed."""
    chosen = [row for row in rows if row["seed"] == "0" and row["request"] != ALL]
    panels = groups(chosen, "model", "request")
    chart, axes = figure(len(panels), width=3.2, sharey=True)
    for ax, ((model, request), each) in zip(axes, panels.items(), strict=True):
        for direction, style in {"suppress": "o-", "raise": "s--", "retrained": "k*"}.items():
            points = [row for row in each if row["direction"] == direction]
            across, up = ([float(row[name]) for row in points] for name in ("forget_error", "rest_error"))
            ax.plot(across, up, style, label=direction, ms=11 if direction == "retrained" else 3)
        ax.set(title=f"{model}, {request}", xlabel="error on forget samples, °")
    axes[0].set_ylabel("error on the rest of training, °")
    axes[0].legend(frameon=False, fontsize=7)
    return chart


QUESTION = Question(
    number="9",
    name="rotation",
    cells=grid(seed=[0, 1], model=["resnet", "vit"]),
    minutes=3,
    measure=measure,
    table=table,
    draw=draw,
)
