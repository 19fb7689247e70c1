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
class PairsConfig(PassesConfig):
    """Settings of the methods whose steps hold as many forget samples as retained ones.

    Raises:
        UnlearningError: a value outside its range.
    """

    per_device_train_batch_size: int = setting(128, "Samples a step and process, half of them forget samples: even.")

    def check(self) -> None:
        super().check()
        self.expect(
            "per_device_train_batch_size",
            self.per_device_train_batch_size % 2 == 0,
            "an even number, half of it forget samples",
        )


class TakesPairs(UnlearningTrainer):
    """A forget sample beside each retained one: see [`PairOrder`]. A pass is one over `num_pairs_of_pass` of them."""

    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    args: PairsConfig

    @property
    def num_pairs_of_pass(self) -> int:
        """Pairs of a pass: here one for each retained sample."""
        return len(self.retain_dataset)

    def sample_order(self) -> Sampler:
        pairs = self.args.num_train_epochs * self.num_pairs_of_pass
        if self.args.max_steps != -1:
            pairs = self.args.max_steps * self.step_size / 2
        return PairOrder(self.num_forget_samples, len(self.retain_dataset), math.ceil(pairs), self.args.seed)

    def weigh(self, inputs: dict[str, torch.Tensor], forget: float, retained: float) -> torch.Tensor:
        """Weights `(batch,)` that make the mean over a batch `forget` times the mean over one kind and `retained` times
        that over the other."""
        # Each kind is half of the samples.
        return torch.where(self.is_retained(inputs), 2 * retained, 2 * forget)


@dataclass
class NegGradPlusConfig(PairsConfig):
    r"""Settings of NegGrad+ (as in arXiv 2302.09880).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(1.0, "Passes over the retain set, each sample paired with a forget sample.")
    retain_share: float = setting(
        0.99,
        "Weight of the descent on retained samples; the unbounded ascent on forget samples has the rest.",
    )

    def check(self) -> None:
        super().check()
        self.expect("retain_share", 0 <= self.retain_share <= 1, "0 to 1")


class NegGradPlusTrainer(TakesPairs):
    """Minimises β E_{D_r} CE(f(x), y) − (1 − β) E_{D_f} CE(f(x), y), β = `args.retain_share` (as in arXiv 2302.09880).

    Each step holds as many samples of the one as of the other: see [`PairOrder`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "NegGrad+"
    method_name = "neggrad_plus"
    paper = ScrubTrainer.paper

    config_class = NegGradPlusConfig
    args: NegGradPlusConfig

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        share = self.args.retain_share
        weights = self.weigh(inputs, forget=-(1 - share), retained=share)
        return weights * label_loss(outputs["logits"], inputs["labels"]), outputs, {}
