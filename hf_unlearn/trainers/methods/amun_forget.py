"""AMUN without retained data: the model learns its nearest mistakes around the forget samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.errors import UnlearningError
from hf_unlearn.objectives import label_loss
from hf_unlearn.objectives.adversarial import nearest_adversarial
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.forget_pass import Stored, forget_pass
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class AMUNForgetConfig(PassesConfig):
    r"""Settings of AMUN without retained data (arXiv 2503.00917).

    Raises:
        UnlearningError: a value outside its range.
    """

    attack_radius: float = setting(
        0.08,
        "Radius of the first search, in units of pixel_values (the authors' 0.04 of [0, 1] at a deviation of 0.5).",
    )
    attack_steps: int = setting(50, "Steps of a search; then its radius is doubled.")
    own_labels: bool = setting(
        False, "Learn the forget samples themselves, with their own labels, as well, as the authors' amun does."
    )

    def check(self) -> None:
        super().check()
        self.expect("attack_radius", self.attack_radius > 0, "a length above 0")
        self.expect("attack_steps", self.attack_steps >= 1, "at least 1 step")


class LearnsAdversarial(UnlearningTrainer):
    """CE(f(x_adv), y_adv) of forget samples, x_adv the nearest input that the original takes for another class, y_adv.

    They are looked for once, before the first step: see [`nearest_adversarial`].
    """

    args: AMUNForgetConfig

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        self.find_adversarial()
        return super().unlearning_run(*args, **kwargs)

    def find_adversarial(self) -> None:
        """Fill `self.adversarial` and `self.mistaken`, x_adv and y_adv by forget sample.

        They depend on the original, the forget set, and the settings of the attack alone.
        """
        self.adversarial, self.mistaken = Stored(self.train_dataset), Stored(self.train_dataset)
        for pixel_values, labels, index in forget_pass(
            self.train_dataset, self.original_model, self.data_collator, "Looking for adversarial examples"
        ):
            try:
                found = nearest_adversarial(
                    self._counted_answer, pixel_values, labels, self.args.attack_radius, self.args.attack_steps
                )
            except ValueError as error:
                raise UnlearningError(f"there are no adversarial examples: {error}") from error
            self.adversarial.put(index, found.pixel_values)
            self.mistaken.put(index, found.labels)

    def _counted_answer(self, pixel_values: torch.Tensor) -> torch.Tensor:
        # Forward, and back to the input.
        self.forward_equivalents += 2.0 * len(pixel_values)
        return self.original_model(pixel_values=pixel_values)["logits"]

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 6.0 if self.args.own_labels else 3.0

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        kept = self.is_retained(inputs)
        forget = ~kept
        pixels, labels = inputs["pixel_values"].clone(), inputs["labels"].clone()
        index = inputs["index"][forget]
        if forget.any():
            pixels[forget] = self.adversarial.of(index).to(pixels)
            labels[forget] = self.mistaken.of(index).to(labels)
        if not self.args.own_labels:
            outputs = model(pixel_values=pixels)
            return label_loss(outputs["logits"], labels), outputs, {}
        # One pass, as a wrapped model synchronises its gradients once. Retained samples are in it once.
        logits = model(pixel_values=torch.cat([inputs["pixel_values"], pixels[forget]]))["logits"]
        size = len(kept)
        losses = label_loss(logits[:size], inputs["labels"])
        beside = torch.zeros_like(losses).masked_scatter(forget, label_loss(logits[size:], labels[forget]))
        return losses + beside, {"logits": logits[:size]}, {}


class AMUNForgetTrainer(LearnsAdversarial):
    """Minimises CE(f(x_adv), y_adv) on the adversarial counterparts D_A of forget samples: AMUN (arXiv 2503.00917).

    The case without D_R, on D_A alone: what the authors' code calls `advonly`. Its `amun` learns D_F ∪ D_A there, as
    this does with `args.own_labels`. See [`LearnsAdversarial`].

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "AMUN without retained samples"
    method_name = "amun_forget"
    paper = cite("ebrahimpour2025amun", "AMUN: Adversarial Machine UNlearning", "2503.00917")

    config_class = AMUNForgetConfig
