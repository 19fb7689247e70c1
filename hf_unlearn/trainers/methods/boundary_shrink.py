"""Boundary shrink: forget samples go to the class across the nearest boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import label_loss, nearest_other_class
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.forget_pass import forget_pass
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class BoundaryShrinkConfig(PassesConfig):
    r"""Settings of Boundary shrink (Boundary Unlearning, arXiv 2303.11570).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(10.0, "Passes over the forget set.")
    learning_rate: float = setting(1e-5, "Of the optimizer named by --optim (step_rule optim).")
    fgsm_bound: float = setting(
        0.2, "Length of the step across the boundary, in units of pixel_values (0.1 of [0, 1] at a deviation of 0.5)."
    )

    def check(self) -> None:
        super().check()
        self.expect("fgsm_bound", self.fgsm_bound > 0, "a length above 0")


class BoundaryShrinkTrainer(UnlearningTrainer):
    """Minimises CE(f(x), y_nbi) on forget samples, with y_nbi the nearest class but their own (arXiv 2303.11570).

    It is found with one FGSM step of `args.fgsm_bound` on the original: see [`nearest_other_class`].

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "Boundary shrink"
    method_name = "boundary_shrink"
    paper = cite(
        "chen2023boundary",
        "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision Boundary",
        "2303.11570",
    )
    nearest: torch.Tensor

    config_class = BoundaryShrinkConfig
    args: BoundaryShrinkConfig

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        # The original's answers do not change: its neighbouring classes are looked for once.
        self.nearest = self._find_nearest()
        # A pass forward and back to the input, and a pass on the input that was moved.
        self.forward_equivalents += 3.0 * self.num_forget_samples
        return super().unlearning_run(*args, **kwargs)

    def _find_nearest(self) -> torch.Tensor:
        """The nearest other class of each forget sample, integer `(num_samples,)`."""
        nearest = torch.zeros(self.num_forget_samples, dtype=torch.long, device=self.model.device)
        for pixel_values, labels, index in forget_pass(
            self.train_dataset, self.model, self.data_collator, "Finding boundaries"
        ):
            nearest[index] = nearest_other_class(self._answer, pixel_values, labels, self.args.fgsm_bound)
        return nearest

    def _answer(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.original_model(pixel_values=pixel_values)["logits"]

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        return label_loss(outputs["logits"], self.nearest[inputs["index"]]), outputs, {}
