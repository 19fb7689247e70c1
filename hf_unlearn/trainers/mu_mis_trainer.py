"""MU-Mis: unlearning by suppressing a sample's contribution, on the forget set alone (arXiv 2402.15109)."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, cast

import torch
from torch import nn

from hf_unlearn.objectives import (
    OBJECTIVES,
    IrrelevantClassSampler,
    draw_irrelevant_classes,
    squared_input_sensitivities,
)
from hf_unlearn.trainers.mu_mis_config import MUMisConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class MUMisTrainer(UnlearningTrainer):
    """Minimises the input sensitivity of a sample's own logit relative to that of an irrelevant one.

    L(D_f; w) = 1/|D_f| Σ_{x ∈ D_f} ( ‖∇ₓ f_c(x, w)‖_F² − ‖∇ₓ f_c'(x, w)‖_F² ), with f the logits, c the sample's
    class, and c' ≠ c an irrelevant class a sample, drawn uniformly anew in each pass over the forget set from a
    generator seeded with `args.seed` (arXiv 2402.15109, Eq. 3). `args.objective` names variants.

    Arguments and errors as for [`UnlearningTrainer`].
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
        self._irrelevant: IrrelevantClassSampler | None = None
        # For batches that do not say which samples they hold.
        self._generator = torch.Generator().manual_seed(self.args.seed)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        labels = inputs["labels"]
        pixel_values = inputs["pixel_values"].detach().requires_grad_()
        outputs = model(pixel_values=pixel_values)
        logits = outputs["logits"]
        irrelevant_classes = self._draw_irrelevant(labels, inputs.get("index"), logits.shape[-1])
        target, irrelevant = squared_input_sensitivities(logits, pixel_values, labels, irrelevant_classes)
        losses = OBJECTIVES[self.args.objective](target, irrelevant, self.args.alpha_target, self.args.alpha_irrelevant)
        return losses, outputs, {"target_sensitivity": target, "irrelevant_sensitivity": irrelevant}

    def _draw_irrelevant(self, labels: torch.Tensor, index: torch.Tensor | None, num_labels: int) -> torch.Tensor:
        if index is None:
            return draw_irrelevant_classes(labels, num_labels, self._generator)
        if self._irrelevant is None:
            num_samples = len(cast(Sized, self.train_dataset))
            self._irrelevant = IrrelevantClassSampler(num_samples, num_labels, self.args.seed)
        # The state counts epochs in fractions: its whole part is the number of finished passes.
        return self._irrelevant.draw(labels, index, int(self.state.epoch or 0))
