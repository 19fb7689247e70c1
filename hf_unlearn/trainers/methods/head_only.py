"""The control *head only*: masked distillation with all weights frozen but the classifier head's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_unlearn.trainers.base.heads import frozen_but_for, linear_head
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.delete import DeleteConfig, DeleteTrainer


@dataclass
class HeadOnlyConfig(DeleteConfig):
    r"""Settings of the control head only (head distillation, arXiv 2405.17878)."""

    learning_rate: float = setting(1e-2, "Of the optimizer named by --optim; the head alone stands longer steps.")


class HeadOnlyTrainer(DeleteTrainer):
    """Minimises [`DeleteTrainer`]'s loss with all weights frozen but the classifier head's.

    A control, no unlearning: no feature changes. It is the head distillation of arXiv 2405.17878, on the forget set
    alone where that has all samples. [`unlearn_head_only`] does the same to any recorded run of another method.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "Head only (control)"
    method_name = "head_only"
    paper = cite(
        "jeon2024information", "An Information Theoretic Evaluation Metric For Strong Unlearning", "2405.17878"
    )
    unlearns_adapters = False

    config_class = HeadOnlyConfig
    args: HeadOnlyConfig

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        with frozen_but_for(self.model, linear_head(self.model, self.train_dataset)):
            return super().unlearning_run(*args, **kwargs)
