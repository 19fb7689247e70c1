"""NegGrad+: descent on retained samples and ascent on forget samples at once."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler

from hf_unlearn.objectives import PairOrder, label_loss
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.neggrad_plus_config import NegGradPlusConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class NegGradPlusTrainer(UnlearningTrainer):
    """Minimises β E_{D_r} CE(f(x), y) − (1 − β) E_{D_f} CE(f(x), y), β = `args.retain_share` (as in arXiv 2302.09880).

    Each step holds as many samples of the one as of the other: see [`PairOrder`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "neggrad-plus", "hf_unlearn"]
    _name = "NegGrad+"
    _method = "neggrad_plus"
    _paper = papers.SCRUB
    _retain_free = False
    _trains_on = "both"
    _judged_by = "retained"

    config_class = NegGradPlusConfig
    args: NegGradPlusConfig

    def _sample_order(self) -> Sampler:
        num_retain = len(self.retain_dataset)
        pairs = self.args.num_train_epochs * num_retain
        if self.args.max_steps != -1:
            pairs = self.args.max_steps * self._step_size / 2
        return PairOrder(self._num_samples, num_retain, math.ceil(pairs), self.args.seed)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        share = self.args.retain_share
        # Each kind is half of the samples: twice the weight makes the mean over both the sum of the two means.
        weights = torch.where(self._is_retained(inputs), 2 * share, -2 * (1 - share))
        return weights * label_loss(outputs["logits"], inputs["labels"]), outputs, {}
