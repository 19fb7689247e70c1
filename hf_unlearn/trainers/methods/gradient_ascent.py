"""Gradient ascent on the forget set (NegGrad)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class GradientAscentConfig(PassesConfig):
    r"""Settings of Gradient ascent, NegGrad (arXiv 1911.04933)."""

    num_train_epochs: float = setting(3.0, "Passes over the forget set.")
    learning_rate: float = setting(1e-5, "Of the optimizer named by --optim (step_rule optim).")


class GradientAscentTrainer(UnlearningTrainer):
    """Minimises −1/|D_f| Σ_{(x, y) ∈ D_f} CE(f(x), y): the negative gradient of training.

    A baseline of arXiv 1911.04933. The loss is not bounded below: a run that goes on too long destroys the model.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "NegGrad (gradient ascent)"
    method_name = "gradient_ascent"
    paper = cite(
        "golatkar2020eternal",
        "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
        "1911.04933",
    )

    config_class = GradientAscentConfig
    args: GradientAscentConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        return -label_loss(outputs["logits"], inputs["labels"]), outputs, {}
