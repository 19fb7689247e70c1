"""SalUn: random labels on salient weights, with the retain set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.saliency import MovesSalientWeights, SaliencyConfig
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class SalUnConfig(SaliencyConfig):
    r"""Settings of SalUn (arXiv 2310.12508)."""

    num_train_epochs: float = setting(5.0, "Passes over the forget and the retain set together.")
    per_device_train_batch_size: int = setting(128, "Samples a step and process.")


class SalUnTrainer(MovesSalientWeights, UnlearningTrainer):
    """Minimises E_{D_f, y' ≠ y} CE(f(x), y') + α E_{D_r} CE(f(x), y), moving salient weights only (arXiv 2310.12508).

    Forget samples with wrong labels, drawn by `args.seed` once a run, and retained ones with their own are shuffled
    together, as in the authors' code: α is the ratio of their numbers. See [`MovesSalientWeights`] for the mask.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "SalUn"
    method_name = "salun"
    paper = cite(
        "fan2024salun",
        "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image Classification "
        "and Generation",
        "2310.12508",
    )
    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    config_class = SalUnConfig
    args: SalUnConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        labels = self.wrong_labels(inputs, outputs["logits"].shape[-1])
        return label_loss(outputs["logits"], labels), outputs, {}
