"""SalUn: random labels on salient weights, with the retain set."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.saliency import MovesSalientWeights
from hf_unlearn.trainers.salun_config import SalUnConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class SalUnTrainer(MovesSalientWeights, UnlearningTrainer):
    """Minimises E_{D_f, y' ≠ y} CE(f(x), y') + α E_{D_r} CE(f(x), y), moving salient weights only (arXiv 2310.12508).

    Forget samples with wrong labels, drawn by `args.seed` once a run, and retained ones with their own are shuffled
    together, as in the authors' code: α is the ratio of their numbers. See [`MovesSalientWeights`] for the mask.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "salun", "hf_unlearn"]
    _name = "SalUn"
    _method = "salun"
    _paper = papers.SALUN
    _retain_free = False
    _trains_on = "both"
    _judged_by = "retained"

    config_class = SalUnConfig
    args: SalUnConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        labels = self._wrong_labels(inputs, outputs["logits"].shape[-1])
        return label_loss(outputs["logits"], labels), outputs, {}
