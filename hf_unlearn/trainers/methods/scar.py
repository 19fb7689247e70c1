"""SCAR: forget samples' features go to the nearest other class, and reference samples hold the answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.head import NoLinearHead
from hf_unlearn.objectives import shifted_divergence
from hf_unlearn.objectives.draws import PassDraws
from hf_unlearn.objectives.gaussians import ClassGaussians
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.forget_pass import Stored, forget_pass, labels_of
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.safety.samples import chunk_size
from hf_unlearn.trainers.safety.unfamiliar import Caught


@dataclass
class SCARConfig(PassesConfig):
    r"""Settings of SCAR (arXiv 2312.02052).

    Raises:
        UnlearningError: a value outside its range.
    """

    distance_weight: float = setting(
        1.0, "Lambda 1: weight of the distance of forget samples to the nearest other class."
    )
    distillation_weight: float = setting(5.0, "Lambda 2: weight of the divergence on reference samples.")
    tukey_power: float = setting(0.5, "Power that features are taken to, before their distributions are compared.")
    shrinkage: float = setting(3.0, "Gamma: how much of the mean variance and covariance is added to a class's own.")

    def check(self) -> None:
        super().check()
        self.expect("distance_weight", self.distance_weight >= 0, "0 or more")
        self.expect("distillation_weight", self.distillation_weight >= 0, "0 or more")
        self.expect("tukey_power", self.tukey_power > 0, "a number above 0")
        self.expect("shrinkage", self.shrinkage >= 0, "0 or more")


class SCARTrainer(UnlearningTrainer):
    """Minimises λ₁ d(f(x), k) + λ₂ KL(q(r) ‖ p(r)), x a forget sample and r a reference sample (arXiv 2312.02052).

    f are the features, d the Mahalanobis distance to the distribution of class k: see [`ClassGaussians`]. k is the
    class other than x's own that is nearest to x under the original. q is what the original says of r without
    the classes that go or went. Each forget sample has one reference sample at its side, drawn anew in each pass by
    `args.seed`.

    The paper takes the distributions from the training of the original and distils on a surrogate dataset; here the
    samples of `reference_dataset` are both, those that the original takes for a class that goes aside.

    Arguments and errors as for [`UnlearningTrainer`]; needs `reference_dataset`.
    """

    title = "SCAR"
    method_name = "scar"
    paper = cite(
        "bonato2024retain",
        "Is Retain Set All You Need in Machine Unlearning? Restoring Performance of Unlearned Models with "
        "Out-Of-Distribution Images",
        "2312.02052",
    )
    needs_references = True
    keeps_earlier = True
    unlearns_adapters = False

    config_class = SCARConfig
    args: SCARConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        # Forward and back on two inputs, and the original on the reference sample.
        return 7.0

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with Caught(self.model, self.train_dataset) as self.caught:
                self._find_classes()
                return super().unlearning_run(*args, **kwargs)
        except NoLinearHead as error:
            raise UnlearningError(str(error)) from error

    @torch.no_grad()
    def _find_classes(self) -> None:
        """The classes' distributions, the nearest other class of each forget sample, and what is distilled on."""
        assert self.references is not None
        gone = [self.earlier_labels]
        if self.forget_kind == "class":
            gone.append(labels_of(self.train_dataset, self.model, self.data_collator))
        self.gone = torch.zeros(int(self.model.config.num_labels or 0), dtype=torch.bool, device=self.model.device)
        self.gone[torch.cat(gone).to(self.gone.device)] = True
        pixel_values, labels = self.references.pixel_values, self.references.labels
        with Caught(self.original_model, self.train_dataset) as caught:
            found, said = [], []
            for chunk in pixel_values.split(chunk_size(pixel_values)):
                said.append(self.original_model(pixel_values=chunk)["logits"])
                found.append(caught.features)
            stays = ~self.gone[torch.cat(said).argmax(1)] & ~self.gone[labels]
            if not stays.any():
                raise UnlearningError("every reference sample is of a class that goes; expected some of others")
            self.held = pixel_values[stays]
            try:
                power, shrinkage = self.args.tukey_power, self.args.shrinkage
                self.classes = ClassGaussians.of(torch.cat(found)[stays], labels[stays], power, shrinkage)
            except ValueError as error:
                raise UnlearningError(f"reference samples: {error}") from error
            self.nearest = Stored(self.train_dataset)
            for batch in forget_pass(self.train_dataset, self.original_model, self.data_collator, "Finding classes"):
                self.original_model(pixel_values=batch.pixel_values)
                own = batch.labels.unsqueeze(1) == self.classes.labels
                if own.all(1).any():
                    raise UnlearningError("all reference samples are of one class; expected samples of others")
                distances = self.classes.distances(caught.features).masked_fill(own, math.inf)
                self.nearest.put(batch.rows, distances.argmin(1))
        self.forward_equivalents += len(pixel_values) + self.num_forget_samples
        size = len(self.held)
        self._rows = PassDraws(
            lambda draws: torch.randint(size, (self.num_forget_samples,), generator=draws), self.args.seed, 6
        )

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        pixel_values, index = inputs["pixel_values"], inputs["index"]
        size = len(pixel_values)
        beside = self.held[self._rows.of(index, self.pass_number).to(self.held.device)].to(pixel_values)
        logits = model(pixel_values=torch.cat([pixel_values, beside]))["logits"]
        nearest = self.classes.distances_to(self.caught.features[:size], self.nearest.of(index))
        with torch.no_grad():
            said = self.original_model(pixel_values=beside)["logits"]
        divergences = shifted_divergence(logits[size:], said, self.gone.expand_as(said), math.inf)
        losses = self.args.distance_weight * nearest + self.args.distillation_weight * divergences
        return losses, {"logits": logits[:size]}, {"distance": nearest}
