"""SCRUB: a student that obeys the original on retained samples and not on forget samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler

from hf_unlearn.data.orders import PhaseOrder
from hf_unlearn.objectives import label_loss, teacher_divergence
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class ScrubConfig(PassesConfig):
    r"""Settings of SCRUB (arXiv 2302.09880).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(5.0, "Passes over the retain set (minimisation).")
    max_passes: int = setting(3, "How many of them come after a pass over the forget set (maximisation).")
    learning_rate: float = setting(5e-4, "Of the optimizer named by --optim (step_rule optim).")
    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    distillation_weight: float = setting(0.001, "Alpha: weight of the divergence from the original, retained samples.")
    label_weight: float = setting(0.99, "Gamma: weight of the cross-entropy on retained samples.")
    temperature: float = setting(4.0, "Of the divergences; they are multiplied by its square.")

    def check(self) -> None:
        super().check()
        self.expect("max_passes", self.max_passes >= 0, "0 or more")
        self.expect("distillation_weight", self.distillation_weight >= 0, "0 or more")
        self.expect("label_weight", self.label_weight >= 0, "0 or more")
        self.expect("temperature", self.temperature > 0, "a number above 0")


class ScrubTrainer(UnlearningTrainer):
    """Maximises E_{D_f} d(x) and minimises α E_{D_r} d(x) + γ E_{D_r} CE(f(x), y) in turn (arXiv 2302.09880).

    d(x) = T² KL(p(f(x; w_o)) ‖ p(f(x; w_u))) with the original as teacher and temperature T. Passes that maximise
    come before each of the first `args.max_passes` that minimise: see [`PhaseOrder`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "SCRUB"
    method_name = "scrub"
    paper = cite("kurmanji2023towards", "Towards Unbounded Machine Unlearning", "2302.09880")
    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    config_class = ScrubConfig
    args: ScrubConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 4.0

    def sample_order(self) -> Sampler:
        sizes = (self.num_forget_samples, len(self.retain_dataset), self.step_size)
        passes = math.ceil(self.args.num_train_epochs)
        if self.args.max_steps != -1:
            # As many passes as it takes, whatever share of the last one is used.
            passes = 1
            while len(PhaseOrder(*sizes, passes, self.args.max_passes, 0)) < self.args.max_steps * self.step_size:
                passes += 1
        return PhaseOrder(*sizes, passes, self.args.max_passes, self.args.seed)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        logits, temperature = outputs["logits"], self.args.temperature
        with torch.no_grad():
            said = self.original_model(pixel_values=inputs["pixel_values"])["logits"]
        divergence = temperature**2 * teacher_divergence(logits, said, temperature)
        keeping = self.args.distillation_weight * divergence
        keeping = keeping + self.args.label_weight * label_loss(logits, inputs["labels"])
        return torch.where(self.is_retained(inputs), keeping, -divergence), outputs, {}
