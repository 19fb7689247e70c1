"""Fine-tuning on the retain set with an l1 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import l1_norm
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.fine_tune import FineTuneConfig, FineTuneTrainer


@dataclass
class L1SparseConfig(FineTuneConfig):
    r"""Settings of l1-sparse fine-tuning (arXiv 2304.04934).

    Raises:
        UnlearningError: a value outside its range.
    """

    l1_weight: float = setting(1e-4, "Weight of the sum of absolute weights at the start; it falls to 0 linearly.")

    def check(self) -> None:
        super().check()
        self.expect("l1_weight", self.l1_weight >= 0, "0 or more")


class L1SparseTrainer(FineTuneTrainer):
    """Minimises 1/|D_r| Σ CE(f(x), y) + γ_t ‖θ‖₁ from the original's weights (arXiv 2304.04934).

    γ_t = γ (1 − t/T) at step t of T, with γ `args.l1_weight`: the decreasing schedule of the authors' code.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "l1-sparse fine-tuning"
    method_name = "l1_sparse"
    paper = cite("jia2023model", "Model Sparsity Can Simplify Machine Unlearning", "2304.04934")

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
