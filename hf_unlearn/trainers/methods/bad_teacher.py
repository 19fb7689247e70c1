"""Bad Teacher: the original teaches retained samples, an untrained model the forget samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from hf_unlearn.models.from_scratch import new_weights
from hf_unlearn.objectives import teacher_divergence
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.sampling import part_of_retained
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class BadTeacherConfig(PassesConfig):
    r"""Settings of Bad Teacher (arXiv 2205.08096).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(1.0, "Passes over the forget set and the retained samples in use.")
    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    retain_fraction: float = setting(0.3, "Share of the retain set that is used, drawn by the seed.")
    temperature: float = setting(1.0, "Of the divergences from the teachers.")

    def check(self) -> None:
        super().check()
        self.expect("retain_fraction", 0 < self.retain_fraction <= 1, "a share above 0, at most 1")
        self.expect("temperature", self.temperature > 0, "a number above 0")


class BadTeacherTrainer(UnlearningTrainer):
    """Minimises (1 − l_u) KL(T_s(x) ‖ S(x)) + l_u KL(T_d(x) ‖ S(x)), l_u = 1 for forget samples (arXiv 2205.08096).

    T_s is the original, T_d a model of the same configuration with random weights (by `args.seed`), S the model; all
    three are probabilities. Forget samples and a share of the retained ones are shuffled together.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "Bad Teacher"
    method_name = "bad_teacher"
    paper = cite(
        "chundawat2023can",
        "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
        "2205.08096",
    )
    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    config_class = BadTeacherConfig
    args: BadTeacherConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 4.0

    def forget_last_run(self) -> None:
        self.__dict__.pop("incompetent", None)

    @cached_property
    def incompetent(self) -> PreTrainedModel:
        """T_d."""
        teacher = new_weights(self.original_model, self.args.seed).requires_grad_(False)
        return teacher.to(self.model.device)  # type: ignore[arg-type]

    def training_set(self) -> Dataset:
        return part_of_retained(self.train_dataset, self.retain_dataset, self.args.retain_fraction, self.args.seed)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        pixel_values, kept = inputs["pixel_values"], self.is_retained(inputs)
        outputs = model(pixel_values=pixel_values)
        said = torch.zeros_like(outputs["logits"])
        with torch.no_grad():
            for teacher, taught in ((self.original_model, kept), (self.incompetent, ~kept)):
                if taught.any():
                    said[taught] = teacher(pixel_values=pixel_values[taught])["logits"].to(said.dtype)
        return teacher_divergence(outputs["logits"], said, self.args.temperature), outputs, {}
