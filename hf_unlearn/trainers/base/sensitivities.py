"""The sensitivity term of MU-Mis in a trainer: which logits, at what level, with which irrelevant classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, Trainer

from hf_unlearn.objectives import (
    IrrelevantClassSampler,
    Objective,
    difference_loss,
    log_ratio_loss,
    matched_loss,
    squared_input_sensitivities,
)
from hf_unlearn.trainers.safety.premise import Premise, measure_premise

if TYPE_CHECKING:
    _Base = Trainer
else:
    _Base = object

# The retrained model's sensitivity to the class it never saw, as a share of the original's to its unlikely classes on
# the same samples: chosen on a ResNet and a ViT; the study shows how well it holds elsewhere.
LEVEL = 0.5


class TakesSensitivities(_Base):
    """Mixed into a trainer of MU-Mis: its loss of input sensitivities."""

    # What the mixing class has.
    args: Any
    model: PreTrainedModel
    original_model: PreTrainedModel
    objective: Objective
    premise: Premise | None
    num_forget_samples: int
    pass_number: int
    forget_sample: Any
    _irrelevant: IrrelevantClassSampler | None
    _ceiling: float

    def _sensitivity_term(
        self, logits: torch.Tensor, pixel_values: torch.Tensor, labels: torch.Tensor, index: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if self.objective.term == "matched":
            (target,) = squared_input_sensitivities(logits, pixel_values, labels)
            return matched_loss(target, self._level), {"target_sensitivity": target}
        irrelevant_classes = self._draw_irrelevant(labels, index, logits.shape[-1])
        target, *others = squared_input_sensitivities(logits, pixel_values, labels, *irrelevant_classes)
        # A mean of norms, not the norm of a sum.
        irrelevant = torch.stack(others).mean(0)
        loss = {"difference": difference_loss, "log_ratio": log_ratio_loss}[self.objective.term]
        capped = irrelevant.clamp(max=self._ceiling)
        term = loss(target, capped, self.args.alpha_target, self.args.alpha_irrelevant)
        return term, {"target_sensitivity": target, "irrelevant_sensitivity": irrelevant}

    def _measure_premise(self) -> Premise:
        fast = self.args.fast_double_backward
        return measure_premise(self.original_model, self.forget_sample(), self.args.seed, fast=fast)

    @property
    def _level(self) -> float:
        if self.premise is None:
            self.premise = self._measure_premise()
        return max(LEVEL * self.premise.unlikely, torch.finfo(torch.float32).tiny)

    def _draw_irrelevant(self, labels: torch.Tensor, index: torch.Tensor, num_labels: int) -> torch.Tensor:
        if self._irrelevant is None:
            count = self.args.num_irrelevant_classes or num_labels - 1
            self._irrelevant = IrrelevantClassSampler(self.num_forget_samples, num_labels, self.args.seed, count)
        return self._irrelevant.draw(labels, index, self.pass_number)
