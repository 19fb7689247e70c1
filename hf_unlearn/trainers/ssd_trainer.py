"""SSD: selective synaptic dampening, in one step."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.utils.data import Dataset
from transformers.trainer_utils import TrainOutput

from hf_unlearn.objectives import dampening_factors
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.gradients import mean_squared_gradient
from hf_unlearn.trainers.retaining import JointDataset
from hf_unlearn.trainers.ssd_config import SSDConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class SSDTrainer(UnlearningTrainer):
    """Multiplies the weights that matter more to the forget set than to the training set by βᵢ ≤ 1 (arXiv 2308.07707).

    βᵢ = min(λ I_D,ᵢ / I_Df,ᵢ, 1) where I_Df,ᵢ > α I_D,ᵢ, with I the diagonals of the Fisher information of the original
    on the whole training set D and on the forget set: see [`dampening_factors`]. There is no gradient step, so nothing
    is logged or saved on the way, and a run that was cut short starts anew.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "ssd", "hf_unlearn"]
    _name = "SSD"
    _method = "ssd"
    _paper = papers.SSD
    _retain_free = False
    _judged_by = "retained"
    num_dampened = 0

    config_class = SSDConfig
    args: SSDConfig

    def _unlearn(self, *args: Any, **kwargs: Any) -> TrainOutput:
        self.model.load_state_dict(self._original.state_dict())
        everything = JointDataset(cast(Dataset, self.train_dataset), self.retain_dataset)
        batch_size = self.args.importance_batch_size
        forget, whole = (
            mean_squared_gradient(self.model, part, self.data_collator, batch_size)
            for part in (cast(Dataset, self.train_dataset), everything)
        )
        self.forward_equivalents += 3.0 * (self._num_samples + len(everything))
        self.num_dampened = 0
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    factors = dampening_factors(forget[name], whole[name], self.args.alpha, self.args.dampening)
                    parameter.mul_(factors.to(parameter.dtype))
                    self.num_dampened += int((factors < 1).sum())
        self.state.global_step = self.state.max_steps = 1
        return TrainOutput(1, 0.0, {})

    @property
    def stop_reason(self) -> str:
        return f"{self.num_dampened} weights were dampened, all at once"
