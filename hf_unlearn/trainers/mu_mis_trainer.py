"""MU-Mis: unlearning by suppressing a sample's contribution, on the forget set alone (arXiv 2402.15109)."""

from __future__ import annotations

import copy
from collections.abc import Sized
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.objectives import (
    IrrelevantClassSampler,
    Objective,
    Surroundings,
    anchor_loss,
    level_loss,
    squared_input_sensitivities,
)
from hf_unlearn.trainers.mu_mis_config import MUMisConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class MUMisTrainer(UnlearningTrainer):
    """Minimises the input sensitivity of a sample's own logit relative to that of an irrelevant one.

    With `objective="difference"` the loss is the paper's (arXiv 2402.15109, Eq. 3):
    L(D_f; w) = 1/|D_f| Σ_{x ∈ D_f} ( ‖∇ₓ f_c(x, w)‖_F² − ‖∇ₓ f_c'(x, w)‖_F² ), with f the logits, c the sample's
    class, and c' ≠ c an irrelevant class a sample, drawn uniformly anew in each pass over the forget set from a
    generator seeded with `args.seed`.

    The default, `"anchored"`, takes the logarithm of the ratio of the two sensitivities and adds guards, still from
    the forget set and the original model alone: see [`hf_unlearn.objectives.Objective`]. It keeps a copy of the
    original model in memory.

    Arguments and errors as for [`UnlearningTrainer`]; a batch needs `index`, the sample's position in the forget set.
    """

    _tag_names = ["machine-unlearning", "unlearning", "mu-mis", "hf_unlearn"]
    _name = "MU-Mis"
    _paper = {
        "title": "Machine Unlearning by Suppressing Sample Contribution",
        "id": "2402.15109",
    }

    config_class = MUMisConfig
    args: MUMisConfig

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.objective: Objective = self.args.weights
        self._irrelevant: IrrelevantClassSampler | None = None
        self._surroundings: Surroundings | None = None
        self._original: PreTrainedModel | None = None
        if self.objective.guard or self.objective.surroundings:
            # The guards ask what the original would say, also of inputs that are only drawn during the run.
            self._original = copy.deepcopy(self.model).requires_grad_(False).eval()
        self._ceiling = float("inf")

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        labels = inputs["labels"]
        pixel_values = inputs["pixel_values"].detach()
        near = self._near(pixel_values, inputs["index"]) if self.objective.surroundings else None
        outputs = model(pixel_values=pixel_values.requires_grad_(bool(self.objective.sensitivity)))
        logits = outputs["logits"]
        losses = torch.zeros(len(labels), device=logits.device)
        figures = {}
        if self.objective.sensitivity:
            irrelevant_classes = self._draw_irrelevant(labels, inputs["index"], logits.shape[-1])
            target, *others = squared_input_sensitivities(logits, pixel_values, labels, *irrelevant_classes)
            # A mean of norms, not the norm of a sum.
            irrelevant = torch.stack(others).mean(0)
            figures = {"target_sensitivity": target, "irrelevant_sensitivity": irrelevant}
            losses = losses + self.objective.sensitivity * self.objective.sensitivity_loss(
                target, irrelevant.clamp(max=self._ceiling), self.args.alpha_target, self.args.alpha_irrelevant
            )
        if self._original is not None:
            with torch.no_grad():
                seen = pixel_values if near is None else torch.cat([pixel_values, near])
                said = self._original(pixel_values=seen)["logits"]
            if self.objective.guard:
                figures["guard"] = _divergence(logits, said[: len(labels)], labels)
                losses = losses + self.objective.guard * figures["guard"]
            if near is not None:
                near_logits = model(pixel_values=near)["logits"]
                figures["surroundings"] = _divergence(near_logits, said[len(labels) :], labels)
                losses = losses + self.objective.surroundings * figures["surroundings"]
        return losses, outputs, figures

    @property
    def _pass_number(self) -> int:
        # The state counts epochs in fractions: the whole part is the number of finished passes.
        return int(self.state.epoch or 0)

    @property
    def _num_samples(self) -> int:
        return len(cast(Sized, self.train_dataset))

    def _draw_irrelevant(self, labels: torch.Tensor, index: torch.Tensor, num_labels: int) -> torch.Tensor:
        if self._irrelevant is None:
            count = self.args.num_irrelevant_classes or num_labels - 1
            self._irrelevant = IrrelevantClassSampler(self._num_samples, num_labels, self.args.seed, count)
        return self._irrelevant.draw(labels, index, self._pass_number)

    def _near(self, pixel_values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        if self._surroundings is None:
            self._surroundings = Surroundings(self._num_samples, self.args.seed)
        return self._surroundings.near(pixel_values, index, self._pass_number)


def _divergence(logits: torch.Tensor, original_logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """KL(q ‖ p) of the original's distribution over the other classes and the current one over all, `(batch,)`."""
    return level_loss(logits, labels) + anchor_loss(logits, original_logits, labels)
