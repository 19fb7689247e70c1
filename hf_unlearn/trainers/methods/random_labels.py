"""Random labels on the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import RandomLabels, label_loss
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class RandomLabelsConfig(PassesConfig):
    r"""Settings of Random labels (Amnesiac unlearning, arXiv 2010.10981)."""


class RandomLabelsTrainer(UnlearningTrainer):
    """Minimises CE(f(x), y') on forget samples, with one wrong label y' ≠ y a sample, drawn by `args.seed` once a run.

    The relabelling of Amnesiac unlearning (arXiv 2010.10981), on the forget set alone.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "Random labels"
    method_name = "random_labels"
    paper = cite("graves2021amnesiac", "Amnesiac Machine Learning", "2010.10981")

    config_class = RandomLabelsConfig
    args: RandomLabelsConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        drawn = RandomLabels(self.num_forget_samples, outputs["logits"].shape[-1], self.args.seed)
        labels = drawn.of(inputs["labels"], inputs["index"])
        return label_loss(outputs["logits"], labels), outputs, {}
