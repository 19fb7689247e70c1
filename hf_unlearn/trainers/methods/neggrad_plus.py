"""NegGrad+: descent on retained samples and ascent on forget samples at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler

from hf_unlearn.data.orders import PairOrder
from hf_unlearn.objectives import label_loss
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.methods.scrub import ScrubTrainer


@dataclass
class NegGradPlusConfig(PassesConfig):
    r"""Settings of NegGrad+ (as in arXiv 2302.09880).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(1.0, "Passes over the retain set, each sample paired with a forget sample.")
    per_device_train_batch_size: int = setting(128, "Samples a step and process, half of them forget samples: even.")
    retain_share: float = setting(
        0.99,
        "Weight of the descent on retained samples; the unbounded ascent on forget samples has the rest.",
    )

    def check(self) -> None:
        super().check()
        self.expect("retain_share", 0 <= self.retain_share <= 1, "0 to 1")
        self.expect(
            "per_device_train_batch_size",
            self.per_device_train_batch_size % 2 == 0,
            "an even number, half of it forget samples",
        )


class NegGradPlusTrainer(UnlearningTrainer):
    """Minimises β E_{D_r} CE(f(x), y) − (1 − β) E_{D_f} CE(f(x), y), β = `args.retain_share` (as in arXiv 2302.09880).

    Each step holds as many samples of the one as of the other: see [`PairOrder`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "NegGrad+"
    method_name = "neggrad_plus"
    paper = ScrubTrainer.paper
    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    config_class = NegGradPlusConfig
    args: NegGradPlusConfig

    def sample_order(self) -> Sampler:
        num_retain = len(self.retain_dataset)
        pairs = self.args.num_train_epochs * num_retain
        if self.args.max_steps != -1:
            pairs = self.args.max_steps * self.step_size / 2
        return PairOrder(self.num_forget_samples, num_retain, math.ceil(pairs), self.args.seed)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        share = self.args.retain_share
        # Each kind is half of the samples: twice the weight makes the mean over both the sum of the two means.
        weights = torch.where(self.is_retained(inputs), 2 * share, -2 * (1 - share))
        return weights * label_loss(outputs["logits"], inputs["labels"]), outputs, {}
