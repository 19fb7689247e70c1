"""DELETE: masked distillation on the forget set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import shifted_divergence
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class DeleteConfig(PassesConfig):
    r"""Settings of DELETE, masked distillation (arXiv 2503.23751)."""


class DeleteTrainer(UnlearningTrainer):
    """Minimises KL(q ‖ p) on forget samples: p what the model says, q what the original said without the own class.

    q = softmax(z_o + M) with z_o the original's logits and M = −∞ at the sample's class, 0 elsewhere (arXiv
    2503.23751).

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "DELETE"
    method_name = "delete"
    paper = cite(
        "zhou2025decoupled",
        "Decoupled Distillation to Erase: A General Unlearning Method for Any Class-centric Tasks",
        "2503.23751",
    )

    config_class = DeleteConfig
    keeps_earlier = True
    args: DeleteConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 4.0

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        with torch.no_grad():
            said = self.original_model(pixel_values=inputs["pixel_values"])["logits"]
        own = nn.functional.one_hot(inputs["labels"], said.shape[-1]).bool()
        # What went with earlier requests is not to come back.
        gone = own.index_fill(1, self.earlier_labels.to(own.device), True)
        return shifted_divergence(outputs["logits"], said, gone, math.inf), outputs, {}
