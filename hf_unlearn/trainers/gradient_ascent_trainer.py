"""Gradient ascent on the forget set (NegGrad)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.gradient_ascent_config import GradientAscentConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class GradientAscentTrainer(UnlearningTrainer):
    """Minimises −1/|D_f| Σ_{(x, y) ∈ D_f} CE(f(x), y): the negative gradient of training.

    A baseline of arXiv 1911.04933. The loss is not bounded below: a run that goes on too long destroys the model.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    _tag_names = ["machine-unlearning", "unlearning", "neggrad", "hf_unlearn"]
    _name = "NegGrad (gradient ascent)"
    _method = "gradient_ascent"
    _paper = papers.ETERNAL_SUNSHINE

    config_class = GradientAscentConfig
    args: GradientAscentConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        return -label_loss(outputs["logits"], inputs["labels"]), outputs, {}
