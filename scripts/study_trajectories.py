"""Forget against remaining accuracy along a run: the figure beside the study's table.

    python scripts/study_trajectories.py --work_dir outputs/study --fashion_mnist outputs/fashion-mnist

Takes the study's models for one class of Fashion-MNIST (trains them if they are missing), unlearns it with each
variant, and measures every few steps. Writes scripts/results/study_trajectories.csv and
docs/images/study_trajectories.png.
"""

from __future__ import annotations

import argparse
from typing import Any

from page_parts import IMAGES
from study_defaults import RESULTS, append_row, read_rows
from study_runs import VARIANTS, Measured, run_variant
from study_settings import REQUESTS, ModelCache, Setting, load_data, splits_of
from torch.utils.data import Subset
from transformers import TrainerCallback

from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.evaluation.predict import predict_logits

MODELS = ("resnet-basic", "vit")
REQUEST = "class:Sneaker"
EVERY, FORGET_SAMPLES = 6, 400
PATH = RESULTS / "study_trajectories.csv"


class Watch(TrainerCallback):
    """Measures the model before the first step and every few steps."""

    def __init__(self, measured: Measured):
        self.measured = measured
        self.points: list[tuple[int, float, float]] = []

    def point(self, model: Any, step: int) -> None:
        forget, test = self.measured.parts["forget"], self.measured.parts["test"]
        size = min(FORGET_SAMPLES, len(forget))
        forgotten = predict_logits({"m": model}, Subset(forget, range(size)))["m"]
        remaining = predict_logits({"m": model}, test)["m"]
        left = ~self.measured.splits.test_forgotten
        forget_accuracy = accuracy(forgotten, forget.labels[:size].numpy()) or 0.0
        remaining_accuracy = accuracy(remaining, test.labels.numpy(), left) or 0.0
        self.points.append((step, round(forget_accuracy, 3), round(remaining_accuracy, 3)))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.point(kwargs["model"], 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % EVERY == 0:
            self.point(kwargs["model"], state.global_step)


def measure(flags: argparse.Namespace) -> None:
    """Write the CSV anew."""
    import contextlib

    PATH.unlink(missing_ok=True)
    data, cache = load_data("fashion-mnist", flags.fashion_mnist), ModelCache(flags.work_dir)
    request = next(request for request in REQUESTS["fashion-mnist"] if request.name == REQUEST)
    for model in MODELS:
        setting = Setting(model, "fashion-mnist", 0, request)
        splits = splits_of(setting, data)
        measured = Measured(splits, cache.original(setting, data).config)
        retrained = Watch(measured)
        retrained.point(cache.retrained(setting, splits), 0)
        courses = {"retrained": retrained.points}
        for variant, changed in VARIANTS.items():
            watch = Watch(measured)
            run_variant(changed, cache.original(setting, data), measured, 0, [watch])
            courses[variant] = watch.points
        for variant, points in courses.items():
            for step, forget, remaining in points:
                row = {"model": model, "variant": variant, "step": step}
                row |= {"forget_accuracy": forget, "test_accuracy_remaining": remaining}
                append_row(PATH, row, contextlib.nullcontext())


def draw() -> None:
    """The figure from the CSV."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = read_rows(PATH)
    chart, both = pyplot.subplots(1, len(MODELS), figsize=(10, 4), sharey=True)
    for axes, model in zip(both, MODELS, strict=True):
        for variant, style in {"paper": "^:", "guards alone": "s--", "default": "o-", "retrained": "k*"}.items():
            points = [row for row in rows if row["model"] == model and row["variant"] == variant]
            across, up = (
                [float(row[name]) for row in points] for name in ("forget_accuracy", "test_accuracy_remaining")
            )
            axes.plot(across, up, style, label=variant, ms=12 if variant == "retrained" else 4, alpha=0.8)
        axes.set_title(f"{model}, {REQUEST.partition(':')[2]}")
        axes.set_xlabel("forget accuracy, %")
        axes.invert_xaxis()
    both[0].set_ylabel("test accuracy, remaining classes, %")
    both[0].legend(frameon=False)
    chart.tight_layout()
    chart.savefig(IMAGES / f"{PATH.stem}.png", dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", default="outputs/study")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist")
    flags = parser.parse_args()
    measure(flags)
    draw()


if __name__ == "__main__":
    main()
