"""Retraining from fresh weights on the retain set: what unlearning is held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_unlearn.models.from_scratch import new_weights
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.fine_tune import FineTuneConfig, FineTuneTrainer


@dataclass
class RetrainConfig(FineTuneConfig):
    r"""Settings of retraining from fresh weights on the retain set."""

    num_train_epochs: float = setting(6.0, "Passes over the retain set.")
    learning_rate: float = setting(2e-3, "Peak learning rate.")
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls.")
    warmup_steps: float = setting(0.1, "Steps of linear warm-up; below 1: a share of all steps.")
    weight_decay: float = setting(0.05, "Decoupled weight decay (AdamW).")
    per_device_train_batch_size: int = setting(128, "Retained samples a step and process.")
    train_mode: bool = setting(True, "Run the model in train mode, as any training: BatchNorm and dropout are on.")


class RetrainTrainer(FineTuneTrainer):
    """Minimises 1/|D_r| Σ_{(x, y) ∈ D_r} CE(f(x), y) from random weights, by `args.seed`.

    Of the original only the configuration is used. In train mode by default, as any training is: a run then depends on
    how steps are parted into batches and processes.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "Retraining"
    method_name = "retrain"
    paper = {"title": "", "id": ""}
    judged_by = "nothing"
    unlearns_adapters = False

    config_class = RetrainConfig
    args: RetrainConfig

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        self.model.load_state_dict(new_weights(self.original_model, self.args.seed).state_dict())
        return super().unlearning_run(*args, **kwargs)
