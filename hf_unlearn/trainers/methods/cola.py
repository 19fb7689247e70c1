"""COLA: features are collapsed by contrast among retained samples, then the model is aligned to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.head import NoLinearHead
from hf_unlearn.objectives.contrast import supervised_contrast
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.fine_tune import FineTuneConfig, FineTuneTrainer
from hf_unlearn.trainers.methods.head_only import HeadOnlyTrainer
from hf_unlearn.trainers.safety.unfamiliar import Caught


@dataclass
class COLAConfig(FineTuneConfig):
    r"""Settings of COLA, collapse and align (arXiv 2405.17878).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(6.0, "Passes over the retain set, those that collapse and those that align.")
    collapse_passes: int = setting(3, "How many of them collapse, before the others align.")
    contrast_temperature: float = setting(0.1, "Of the contrast of features.")
    per_device_train_batch_size: int = setting(
        256, "Retained samples a step and process, whose features are compared with each other."
    )

    def check(self) -> None:
        super().check()
        self.expect("collapse_passes", self.collapse_passes >= 0, "0 or more")
        self.expect("contrast_temperature", self.contrast_temperature > 0, "a number above 0")


class COLATrainer(FineTuneTrainer):
    """Minimises supervised contrast of the features of D_r, then 1/|D_r| Σ CE(f(x), y) (COLA, arXiv 2405.17878).

    The first `args.collapse_passes` passes collapse: only retained samples attract each other, so that the features of
    the forget set lose what held them together; the classifier head has no part in it. The other passes align. See
    [`supervised_contrast`]; it compares the samples of a batch. The paper's COLA+, for samples of classes that stay,
    with pseudo-labels for the forget samples, is not here.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "COLA"
    method_name = "cola"
    paper = HeadOnlyTrainer.paper
    mixes_samples = True
    unlearns_adapters = False

    config_class = COLAConfig
    args: COLAConfig

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with Caught(self.model, self.train_dataset) as self.caught:
                return super().unlearning_run(*args, **kwargs)
        except NoLinearHead as error:
            raise UnlearningError(str(error)) from error

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        if self.pass_number >= self.args.collapse_passes:
            return super().unlearning_loss(model, inputs)
        outputs = model(pixel_values=inputs["pixel_values"])
        losses = supervised_contrast(self.caught.features, inputs["labels"], self.args.contrast_temperature)
        return losses, outputs, {}
