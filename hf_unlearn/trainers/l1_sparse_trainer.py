"""Fine-tuning on the retain set with an l1 penalty."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import l1_norm
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.fine_tune_trainer import FineTuneTrainer
from hf_unlearn.trainers.l1_sparse_config import L1SparseConfig


class L1SparseTrainer(FineTuneTrainer):
    """Minimises 1/|D_r| Σ CE(f(x), y) + γ_t ‖θ‖₁ from the original's weights (arXiv 2304.04934).

    γ_t = γ (1 − t/T) at step t of T, with γ `args.l1_weight`: the decreasing schedule of the authors' code.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "l1-sparse", "hf_unlearn"]
    _name = "l1-sparse fine-tuning"
    _method = "l1_sparse"
    _paper = papers.SPARSITY

    config_class = L1SparseConfig
    args: L1SparseConfig

    @property
    def penalty_weight(self) -> float:
        """γ_t at the step to come."""
        return self.args.l1_weight * (1 - self.state.global_step / max(self.state.max_steps, 1))

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        losses, outputs, figures = super().unlearning_loss(model, inputs)
        moving = (parameter for parameter in self.model.parameters() if parameter.requires_grad)
        # The same for each sample: their mean is the penalty.
        return losses + self.penalty_weight * l1_norm(moving), outputs, figures
