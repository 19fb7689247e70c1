"""One run of the study: unlearn with a variant's settings, and measure it against the retrained model."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np
import torch
from study_settings import IMAGE_SIZE, Setting
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback

from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError, UnlearningSplits
from hf_unlearn.data.pixels import pixels_of
from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.contest import split_figures
from hf_unlearn.evaluation.metrics.accuracies import average_gap
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.evaluation.predict import predict_logits
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.objectives import double_backward, squared_input_sensitivities

# What is tried: settings of MUMisConfig beyond its defaults. The first is what a user gets; "paper" is its objective
# with this library's step and a stop at a forget accuracy of 1 %.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {"objective": "difference", "stop_rule": "forget_accuracy", "learning_rate": 1e-3, "head_scale": 1.0},
    "guards alone": {"sensitivity_weight": 0.0},
}
ACCURACIES = (
    *("forget_accuracy", "retain_accuracy", "test_accuracy"),
    *("test_accuracy_remaining", "test_accuracy_forgotten"),
)
RETAIN_SAMPLES, SENSITIVITY_SAMPLES = 2_000, 256
RETRAINING_PASSES = 30


class Measured:
    """The splits of a setting as pixels, read once, and the figures of any model on them."""

    def __init__(self, splits: UnlearningSplits, config: Any, image_size: int = IMAGE_SIZE):
        self.processor = new_image_processor(image_size)
        rng = np.random.default_rng(0)
        assert splits.retain is not None
        some = np.sort(rng.permutation(len(splits.retain))[:RETAIN_SAMPLES])
        rows = {"forget": None, "retain": some.tolist(), "test": None}
        self.splits = splits
        self.parts = {
            name: pixels_of(splits, name, config, self.processor, chosen).preload() for name, chosen in rows.items()
        }

    def figures(self, model: PreTrainedModel) -> dict[str, float | None]:
        """Accuracies in percent, and the two mean squared sensitivities on forget samples."""
        samples = {
            name: SampleFigures.of(predict_logits({"m": model}, part)["m"], part.labels.numpy())
            for name, part in self.parts.items()
        }
        found = split_figures(samples, self.splits.test_forgotten)
        return {**{name: found[name] for name in ACCURACIES}, **self._sensitivities(model)}

    def _sensitivities(self, model: PreTrainedModel) -> dict[str, float]:
        forget = self.parts["forget"]
        rows = evenly_spaced(len(forget), SENSITIVITY_SAMPLES)
        pixels = torch.stack([forget[int(row)]["pixel_values"] for row in rows]).requires_grad_()
        labels = forget.labels[rows]
        num_labels = int(model.config.num_labels or 0)
        classes = [(labels + shift) % num_labels for shift in range(num_labels)]
        with double_backward():
            logits = model.eval()(pixel_values=pixels).logits
            target, *others = squared_input_sensitivities(logits, pixels, *classes, create_graph=False)
        return {"target": float(target.mean()), "irrelevant": float(torch.stack(others).mean())}


def run_variant(
    variant: dict[str, Any],
    original: PreTrainedModel,
    measured: Measured,
    seed: int,
    callbacks: list[TrainerCallback] | None = None,
    trainer_class: type[MUMisTrainer] = MUMisTrainer,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Unlearn `original` in place; how it went."""
    with tempfile.TemporaryDirectory() as folder:
        args = MUMisConfig(
            **variant,
            output_dir=folder,
            seed=seed,
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        forget, processor = measured.parts["forget"], measured.processor
        trainer = trainer_class(
            original, args, measured.splits, train_dataset=forget, processing_class=processor, callbacks=callbacks
        )
        trainer.remove_callback(PrinterCallback)
        started = time.monotonic()
        try:
            trainer.train()
            reason = trainer.stop_reason
        except UnlearningError as error:
            reason = f"refused: {error}"
        seconds = time.monotonic() - started
    return original, {
        "steps": trainer.state.global_step,
        "stopped": reason,
        "seconds": round(seconds, 1),
        "samples": trainer.state.global_step * min(args.train_batch_size, len(measured.parts["forget"])),
        "forward_equivalents": trainer.forward_equivalents,
        "agreement": round(trainer.agreement or 0.0, 4),
    }


def row_of(
    setting: Setting,
    variant: str,
    figures: dict[str, Any],
    retrained: dict[str, Any],
    measured: Measured,
    run: dict[str, Any],
) -> dict[str, Any]:
    """A line of the CSV. The cost is a share of a retraining of 30 passes, three forward-equivalents a sample."""
    retraining = 3 * RETRAINING_PASSES * len(measured.splits.retain_indices)
    gap = average_gap(figures, retrained)
    return {
        "dataset": setting.dataset,
        "model": setting.model,
        "seed": setting.seed,
        "request": setting.request.name,
        "variant": variant,
        **{name: value if value is None else round(value, 5) for name, value in figures.items()},
        "average_gap": None if gap is None else round(gap, 4),
        "forget_gap": round(abs(figures["forget_accuracy"] - retrained["forget_accuracy"]), 4),
        "target_ratio": round(figures["target"] / retrained["target"], 4),
        "irrelevant_ratio": round(figures["irrelevant"] / retrained["irrelevant"], 4),
        "cost_percent": round(100 * run.get("forward_equivalents", 0) / retraining, 3),
        "steps": run.get("steps", 0),
        "seconds": run.get("seconds", 0),
        "agreement": run.get("agreement", 1.0),
        "stopped": run.get("stopped", ""),
    }
