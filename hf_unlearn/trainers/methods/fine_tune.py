"""Fine-tuning on the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.methods.gradient_ascent import GradientAscentTrainer


@dataclass
class FineTuneConfig(PassesConfig):
    r"""Settings of fine-tuning on the retain set."""

    num_train_epochs: float = setting(5.0, "Passes over the retain set.")
    learning_rate: float = setting(1e-3, "Of the optimizer named by --optim (step_rule optim).")
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls.")
    per_device_train_batch_size: int = setting(128, "Retained samples a step and process.")
    train_mode: bool = setting(
        False, "Run the model in train mode: BatchNorm follows the batches, and dropout is on. Off: both are frozen."
    )


class FineTuneTrainer(UnlearningTrainer):
    """Minimises 1/|D_r| Σ_{(x, y) ∈ D_r} CE(f(x), y) from the original's weights, and leaves forgetting to chance.

    A baseline of arXiv 1911.04933. With `args.train_mode` BatchNorm statistics follow the batches, so that a run
    depends on how steps are parted into batches and processes; otherwise they are frozen.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "Fine-tuning"
    method_name = "fine_tune"
    paper = GradientAscentTrainer.paper
    retain_free = False
    trains_on = "retain"
    judged_by = "retained"

    config_class = FineTuneConfig
    args: FineTuneConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        return label_loss(outputs["logits"], inputs["labels"]), outputs, {}
