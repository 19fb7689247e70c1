"""SCRUB: a student that obeys the original on retained samples and not on forget samples."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler

from hf_unlearn.objectives import PhaseOrder, label_loss, teacher_divergence
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.scrub_config import ScrubConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class ScrubTrainer(UnlearningTrainer):
    """Maximises E_{D_f} d(x) and minimises α E_{D_r} d(x) + γ E_{D_r} CE(f(x), y) in turn (arXiv 2302.09880).

    d(x) = T² KL(p(f(x; w_o)) ‖ p(f(x; w_u))) with the original as teacher and temperature T. Passes that maximise
    come before each of the first `args.max_passes` that minimise: see [`PhaseOrder`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "scrub", "hf_unlearn"]
    _name = "SCRUB"
    _method = "scrub"
    _paper = papers.SCRUB
    _retain_free = False
    _trains_on = "both"
    _judged_by = "retained"

    config_class = ScrubConfig
    args: ScrubConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 4.0

    def _sample_order(self) -> Sampler:
        sizes = (self._num_samples, len(self.retain_dataset), self._step_size)
        passes = math.ceil(self.args.num_train_epochs)
        if self.args.max_steps != -1:
            # As many passes as it takes, whatever share of the last one is used.
            passes = 1
            while len(PhaseOrder(*sizes, passes, self.args.max_passes, 0)) < self.args.max_steps * self._step_size:
                passes += 1
        return PhaseOrder(*sizes, passes, self.args.max_passes, self.args.seed)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        logits, temperature = outputs["logits"], self.args.temperature
        with torch.no_grad():
            said = self._original(pixel_values=inputs["pixel_values"])["logits"]
        divergence = temperature**2 * teacher_divergence(logits, said, temperature)
        keeping = self.args.distillation_weight * divergence
        keeping = keeping + self.args.label_weight * label_loss(logits, inputs["labels"])
        return torch.where(self._is_retained(inputs), keeping, -divergence), outputs, {}
