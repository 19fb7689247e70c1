"""SSD: selective synaptic dampening, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch.utils.data import Dataset

from hf_unlearn.objectives import dampening_factors
from hf_unlearn.trainers.base.at_once import AtOnceConfig, ChangesAtOnce
from hf_unlearn.trainers.base.gradients import mean_squared_gradient
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.sampling import JointDataset
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class SSDConfig(AtOnceConfig):
    r"""Settings of SSD, selective synaptic dampening (arXiv 2308.07707).

    Raises:
        UnlearningError: a value outside its range.
    """

    alpha: float = setting(
        5.0,
        "Weights that matter this many times more to the forget set than to all are dampened (the paper: 10, for 1 % "
        "of the data). With a forget set of a share s of the data hardly any matters more than 1/s times.",
    )
    dampening: float = setting(1.0, "Lambda: a dampened weight is multiplied by this times the ratio, at most 1.")
    importance_batch_size: int = setting(
        32, "Samples whose mean gradient is squared, as in the authors' code. 1: the Fisher information's diagonal."
    )

    def check(self) -> None:
        super().check()
        self.expect("alpha", self.alpha >= 0, "0 or more")
        self.expect("dampening", self.dampening >= 0, "0 or more")
        self.expect("importance_batch_size", self.importance_batch_size >= 1, "at least 1 sample")


class SSDTrainer(ChangesAtOnce, UnlearningTrainer):
    """Multiplies the weights that matter more to the forget set than to the training set by βᵢ ≤ 1 (arXiv 2308.07707).

    βᵢ = min(λ I_D,ᵢ / I_Df,ᵢ, 1) where I_Df,ᵢ > α I_D,ᵢ, with I the diagonals of the Fisher information of the original
    on the whole training set D and on the forget set: see [`dampening_factors`]. There is no gradient step: see
    [`ChangesAtOnce`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "SSD"
    method_name = "ssd"
    paper = cite(
        "foster2024fast",
        "Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening",
        "2308.07707",
    )
    retain_free = False
    judged_by = "retained"
    num_dampened = 0

    config_class = SSDConfig
    args: SSDConfig

    def change_weights(self) -> str:
        everything = JointDataset(cast(Dataset, self.train_dataset), self.retain_dataset)
        batch_size = self.args.importance_batch_size
        forget, whole = (
            mean_squared_gradient(self.model, part, self.data_collator, batch_size)
            for part in (cast(Dataset, self.train_dataset), everything)
        )
        self.forward_equivalents += 3.0 * (self.num_forget_samples + len(everything))
        self.num_dampened = 0
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                factors = dampening_factors(forget[name], whole[name], self.args.alpha, self.args.dampening)
                parameter.mul_(factors.to(parameter.dtype))
                self.num_dampened += int((factors < 1).sum())
        return f"{self.num_dampened} weights were dampened, all at once"
