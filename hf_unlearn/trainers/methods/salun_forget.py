"""SalUn on the forget set alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers.base.saliency import MovesSalientWeights, SaliencyConfig
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.methods.salun import SalUnTrainer


@dataclass
class SalUnForgetConfig(SaliencyConfig):
    r"""Settings of SalUn on the forget set alone (arXiv 2310.12508)."""


class SalUnForgetTrainer(MovesSalientWeights, UnlearningTrainer):
    """Minimises CE(f(x), y') on forget samples, moving salient weights only: SalUn (arXiv 2310.12508) without D_r.

    See [`MovesSalientWeights`] for the mask. Labels are wrong ones, drawn by `args.seed` once a run.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "SalUn without retained samples"
    method_name = "salun_forget"
    paper = SalUnTrainer.paper

    config_class = SalUnForgetConfig
    args: SalUnForgetConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        labels = self.wrong_labels(inputs, outputs["logits"].shape[-1])
        return label_loss(outputs["logits"], labels), outputs, {}
