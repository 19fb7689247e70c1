"""Fine-tuning on the retain set."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.fine_tune_config import FineTuneConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class FineTuneTrainer(UnlearningTrainer):
    """Minimises 1/|D_r| Σ_{(x, y) ∈ D_r} CE(f(x), y) from the original's weights, and leaves forgetting to chance.

    A baseline of arXiv 1911.04933. With `args.train_mode` BatchNorm statistics follow the batches, so that a run
    depends on how steps are parted into batches and processes; otherwise they are frozen.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "fine-tuning", "hf_unlearn"]
    _name = "Fine-tuning"
    _method = "fine_tune"
    _paper = papers.ETERNAL_SUNSHINE
    _retain_free = False
    _trains_on = "retain"
    _judged_by = "retained"

    config_class = FineTuneConfig
    args: FineTuneConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        return label_loss(outputs["logits"], inputs["labels"]), outputs, {}
