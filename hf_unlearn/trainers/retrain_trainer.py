"""Retraining from fresh weights on the retain set: what unlearning is held against."""

from __future__ import annotations

from typing import Any

from hf_unlearn.models.from_scratch import new_weights
from hf_unlearn.trainers.fine_tune_trainer import FineTuneTrainer
from hf_unlearn.trainers.retrain_config import RetrainConfig


class RetrainTrainer(FineTuneTrainer):
    """Minimises 1/|D_r| Σ_{(x, y) ∈ D_r} CE(f(x), y) from random weights, by `args.seed`.

    Of the original only the configuration is used. In train mode by default, as any training is: a run then depends on
    how steps are parted into batches and processes.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    _tag_names = ["machine-unlearning", "unlearning", "retraining", "hf_unlearn"]
    _name = "Retraining"
    _method = "retrain"
    _paper = {"title": "", "id": ""}
    _judged_by = "nothing"
    _unlearns_adapters = False

    config_class = RetrainConfig
    args: RetrainConfig

    def _unlearn(self, *args: Any, **kwargs: Any) -> Any:
        self.model.load_state_dict(new_weights(self._original, self.args.seed).state_dict())
        return super()._unlearn(*args, **kwargs)
