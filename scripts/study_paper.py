"""The published objective in the regime of its paper: many classes, long training with augmentation, tuned by hand.

    python scripts/study_paper.py --characters outputs/characters

Full-batch gradient descent on the difference of squared sensitivities (arXiv 2402.15109, Eq. 3), which step by step has
no bound, on a narrow ResNet and on a ResNet-18. Rate and δ of both stop rules (v1: the fall of the loss; v4: the
irrelevant sensitivity on its way back up) are chosen on one class and applied to another. Writes the courses to
scripts/results/study_paper.csv and the cosines between the samples' gradients to study_paper_cosines.csv, a model's
when all of it is done; a model that is there is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from regime_data import DataSource
from regime_models import Recipe, Trained
from regime_runs import RegimeMeasured
from study_defaults import RESULTS, append_rows, read_rows

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.metrics.accuracies import GAP_FIGURES, average_gap
from hf_unlearn.evaluation.predict import predict_logits
from hf_unlearn.models.model_cache import ModelCache
from hf_unlearn.objectives import difference_loss, double_backward, draw_irrelevant_classes, squared_input_sensitivities

CSV, COSINES = RESULTS / "study_paper.csv", RESULTS / "study_paper_cosines.csv"
MODELS = ("resnet", "resnet-18")
CHOSEN_ON, REPORTED = "k", "R"
RATES = (1e-3, 3e-4, 1e-4, 3e-5)
STEPS, EVERY = 240, 4
COSINE_SAMPLES = 24


@dataclass
class Point:
    """A model on its way: its figures in percent, the loss, and the irrelevant sensitivity as a share of its start."""

    step: int
    loss: float
    recovery: float
    figures: dict[str, float | None]


def losses_of(model: Any, pixels: torch.Tensor, labels: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The published loss of each sample, to be differentiated, and the irrelevant sensitivities, `(batch,)` each."""
    generator = torch.Generator().manual_seed(seed)
    irrelevant = draw_irrelevant_classes(labels, int(model.config.num_labels), generator)
    pixels = pixels.clone().requires_grad_()
    logits = model(pixel_values=pixels)["logits"]
    target, other = squared_input_sensitivities(logits, pixels, labels, irrelevant)
    return difference_loss(target, other), other


def course(model: Any, measured: RegimeMeasured, rate: float) -> list[Point]:
    """Plain gradient descent until nothing of the class is left, or the weights are no numbers."""
    forget = measured.parts["forget"]
    items = forget.__getitems__(list(range(len(forget))))
    pixels, labels = torch.stack([item["pixel_values"] for item in items]), forget.labels
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    points: list[Point] = []
    start = None
    for step in range(STEPS + 1):
        with double_backward():
            losses, other = losses_of(model.eval(), pixels, labels, step)
            loss, size = losses.mean(), float(other.detach().mean().sqrt())
            start = start or size
            if not np.isfinite(float(loss)):
                break
            if step % EVERY == 0:
                points.append(Point(step, float(loss), size / start, accuracies(model, measured)))
                if step and not points[-1].figures["forget_accuracy"]:
                    break
            found = torch.autograd.grad(loss, weights, allow_unused=True)
        with torch.no_grad():
            for weight, gradient in zip(weights, found, strict=True):
                if gradient is not None:
                    weight.sub_(rate * gradient)
    return points


def accuracies(model: Any, measured: RegimeMeasured) -> dict[str, float | None]:
    """What the gap is made of."""
    said = {name: predict_logits({"m": model}, measured.parts[name])["m"] for name in ("forget", "test")}
    correct = {name: said[name].argmax(1) == measured.parts[name].labels.numpy() for name in said}
    left = ~measured.splits.test_forgotten
    shares = correct["forget"].mean(), correct["test"][left].mean(), correct["test"].mean()
    return {name: 100 * float(share) for name, share in zip(GAP_FIGURES, shares, strict=True)}


def best(points: list[Point], retrained: dict[str, float | None]) -> int:
    """Which point is nearest to the retrained model."""
    return int(np.argmin([average_gap(point.figures, retrained) or 0.0 for point in points]))


def by_loss_drop(points: list[Point], delta: float) -> int:
    """Where v1 stops: once the loss has fallen by `delta`; at the end if it never does."""
    return next((i for i, point in enumerate(points) if points[0].loss - point.loss >= delta), len(points) - 1)


def by_recovery(points: list[Point], delta: float) -> int:
    """Where v4 stops: once the irrelevant sensitivity is above `delta` and above its lowest; at the end if never."""
    lowest = float("inf")
    for i, point in enumerate(points):
        if point.recovery > max(delta, lowest):
            return i
        lowest = min(lowest, point.recovery)
    return len(points) - 1


def cosines(model: Any, measured: RegimeMeasured) -> dict[str, float]:
    """Mean size of the cosine between gradients of the loss of two samples: both forgotten, and one of each kind."""
    parts = {name: measured.parts[name] for name in ("forget", "retain")}
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = {}
    for name, part in parts.items():
        rows = np.linspace(0, len(part) - 1, min(COSINE_SAMPLES, len(part))).astype(int).tolist()
        gradients = []
        for item, label in zip(part.__getitems__(rows), part.labels[rows], strict=True):
            with double_backward():
                losses, _ = losses_of(model.eval(), item["pixel_values"].unsqueeze(0), label.reshape(1), 0)
                grads = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
            flat = torch.cat([gradient.flatten() for gradient in grads if gradient is not None])
            gradients.append(flat / flat.norm())
        found[name] = torch.stack(gradients)
    within = (found["forget"] @ found["forget"].T).abs()
    off = ~torch.eye(len(within), dtype=torch.bool)
    return {"within": float(within[off].mean()), "across": float((found["forget"] @ found["retain"].T).abs().mean())}


def run_model(architecture: str, trained: Trained) -> None:
    """Both classes with every rate; nothing is written before all of it is done."""
    if any(row["model"] == architecture for row in read_rows(CSV)):
        return
    lines: list[dict[str, Any]] = []
    lock: Any = contextlib.nullcontext()
    recipe = Recipe(architecture, "characters:30", 25, augmentation=("shift", "scale"))
    data = trained.source.load(recipe.dataset)
    chosen: tuple[float, float, float, float] | None = None
    for name in (CHOSEN_ON, REPORTED):
        rates: tuple[float, ...] = RATES
        splits = make_splits(data, ForgetRequest(classes=(name,)), label_column_name="label")
        original = trained.model("augmented", recipe, "original")
        retrained = trained.model("augmented", recipe, f"class:{name}", splits.forget_indices)
        measured = RegimeMeasured(splits, original.config, 32)
        target = accuracies(retrained, measured)
        if name == REPORTED:
            angles = {"model": architecture, "class": name, **cosines(original, measured)}
            rates = RATES if chosen is None else chosen[:1]
        for rate in rates:
            points = course(trained.model("augmented", recipe, "original"), measured, rate)
            stops = {"nearest": best(points, target)}
            if name == REPORTED and chosen:
                stops |= {"v1": by_loss_drop(points, chosen[1]), "v4": by_recovery(points, chosen[2])}
            nearest = points[best(points, target)]
            gap = average_gap(nearest.figures, target) or 0.0
            if name == CHOSEN_ON and (chosen is None or gap < chosen[3]):
                chosen = (rate, points[0].loss - nearest.loss, nearest.recovery, gap)
            for i, point in enumerate(points):
                row: dict[str, Any] = {"model": architecture, "class": name, "rate": rate, "step": point.step}
                row |= {key: round(value or 0.0, 3) for key, value in point.figures.items()}
                row |= {"loss": point.loss, "recovery": round(point.recovery, 4)}
                row |= {
                    "gap": round(average_gap(point.figures, target) or 0.0, 4),
                    "stop": " ".join(rule for rule, at in stops.items() if at == i),
                }
                lines.append(row)
            print(architecture, name, rate, f"nearest: gap {gap:.2f} at step {nearest.step}", flush=True)
    append_rows(COSINES, [angles], lock)
    append_rows(CSV, lines, lock)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache_dir", default="outputs/regimes")
    parser.add_argument("--characters", default="outputs/characters")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    flags = parser.parse_args()
    trained = Trained(ModelCache(flags.cache_dir), DataSource(flags.characters, ""))
    try:
        for architecture in flags.models:
            run_model(architecture, trained)
    except UnlearningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
