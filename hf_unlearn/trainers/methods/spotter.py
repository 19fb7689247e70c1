"""Spotter: masked distillation on forget samples and on perturbed ones, and dispersed features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.head import NoLinearHead
from hf_unlearn.objectives import shifted_divergence
from hf_unlearn.objectives.adversarial import towards_class
from hf_unlearn.objectives.contrast import dispersion
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.forget_pass import Stored, forget_pass, labels_of
from hf_unlearn.trainers.base.inputs import refuse_labels_that_stay, refuse_none_left
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.safety.unfamiliar import Caught


@dataclass
class SpotterConfig(PassesConfig):
    r"""Settings of Spotter (arXiv 2506.01318).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(10.0, "Passes over the forget set.")
    per_device_train_batch_size: int = setting(
        128, "Forget samples a step and process, whose features are compared with each other."
    )
    own_weight: float = setting(
        0.7, "Weight of the divergence on the forget samples; that on perturbed ones has the rest."
    )
    dispersion_weight: float = setting(1.0, "Weight of the mean cosine of the features of two samples of one class.")
    perturbation: float = setting(0.03, "How far each pixel of a perturbed sample may be moved, in pixel_values.")
    perturbation_step: float = setting(0.01, "Step of the search for it, in pixel_values.")
    perturbation_steps: int = setting(3, "Steps of the search.")

    def check(self) -> None:
        super().check()
        self.expect("own_weight", 0 <= self.own_weight <= 1, "0 to 1")
        self.expect("dispersion_weight", self.dispersion_weight >= 0, "0 or more")
        self.expect("perturbation", self.perturbation > 0, "a length above 0")
        self.expect("perturbation_step", self.perturbation_step > 0, "a length above 0")
        self.expect("perturbation_steps", self.perturbation_steps >= 0, "0 or more")


class SpotterTrainer(UnlearningTrainer):
    """Minimises λ₁ KL(q(x) ‖ p(x)) + (1 − λ₁) KL(q(x') ‖ p(x')) + λ₂ L_disp on forget samples x (arXiv 2506.01318).

    p is what the model says, q what the original said without the forgotten classes (earlier ones, too), renormalised.
    x' is x with each pixel moved by at most ε: from a random start (by `args.seed`), towards the likeliest class of the
    original but x's own; once, before the first step. L_disp is the mean cosine of the features of two forget samples
    of one class in the batch: see [`dispersion`]. For whole classes only. λ₁ is `args.own_weight`, λ₂
    `args.dispersion_weight`.

    In the authors' code the search for x' leads away from that class; here towards it.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "Spotter"
    method_name = "spotter"
    paper = cite(
        "ha2025blind", "Unlearning's Blind Spots: Over-Unlearning and Prototypical Relearning Attack", "2506.01318"
    )
    mixes_samples = True
    keeps_earlier = True

    config_class = SpotterConfig
    args: SpotterConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        # Forward and back on two inputs, and the original on both.
        return 8.0

    def prepare(self) -> None:
        super().prepare()
        refuse_labels_that_stay(self.method_name, self.forget_kind)

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        labels = labels_of(self.train_dataset, self.model, self.data_collator)
        num_labels = int(self.model.config.num_labels or 0)
        gone = refuse_none_left(labels, self.earlier_labels, num_labels)
        self.gone = torch.zeros(num_labels, dtype=torch.bool, device=self.model.device)
        self.gone[gone.to(self.gone.device)] = True
        self.perturbed = self._perturb()
        try:
            with Caught(self.model, self.train_dataset) as self.caught:
                return super().unlearning_run(*args, **kwargs)
        except NoLinearHead as error:
            raise UnlearningError(str(error)) from error

    def _perturb(self) -> Stored:
        """x' of each forget sample."""
        perturbed = Stored(self.train_dataset)
        draws = torch.Generator().manual_seed(self.args.seed)
        bound = self.args.perturbation
        for pixel_values, labels, index in forget_pass(
            self.train_dataset, self.original_model, self.data_collator, "Perturbing samples"
        ):
            with torch.no_grad():
                others = self._answer(pixel_values).scatter(1, labels.unsqueeze(1), -math.inf)
            noise = bound * (2 * torch.rand(pixel_values.shape, generator=draws) - 1)
            start = pixel_values + noise.to(pixel_values)
            step, steps = self.args.perturbation_step, self.args.perturbation_steps
            perturbed.put(index, towards_class(self._answer, pixel_values, start, others.argmax(1), bound, step, steps))
        self.forward_equivalents += (1.0 + 2.0 * self.args.perturbation_steps) * self.num_forget_samples
        return perturbed

    def _answer(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.original_model(pixel_values=pixel_values)["logits"]

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        pixel_values = inputs["pixel_values"]
        size = len(pixel_values)
        both = torch.cat([pixel_values, self.perturbed.of(inputs["index"]).to(pixel_values)])
        logits = model(pixel_values=both)["logits"]
        with torch.no_grad():
            said = self._answer(both)
        divergences = shifted_divergence(logits, said, self.gone.expand_as(said), math.inf)
        spread = dispersion(self.caught.features[:size], inputs["labels"])
        share = self.args.own_weight
        losses = share * divergences[:size] + (1 - share) * divergences[size:] + self.args.dispersion_weight * spread
        return losses, {"logits": logits[:size]}, {"dispersion": spread}
