"""Ordinary training of an image classifier: for an original model, or for the retrained reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transformers import BaseImageProcessor, PreTrainedModel, Trainer, TrainingArguments

from hf_unlearn.data.pixels import PixelDataset, collate
from hf_unlearn.trainers.base.checkpoints import WholeCheckpoints
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.unserved import PlainRefusals, in_words, refuse_unserved
from hf_unlearn.trainers.safety.preflight import take_one_gpu


@dataclass
class ClassifierConfig(TrainingArguments):
    r"""`TrainingArguments` for training a classifier.

    Defaults that differ from the parent's: those of the settings; `remove_unused_columns` False, since it
    would drop the image column; `save_strategy` "no"; `logging_nan_inf_filter` False.

    Raises:
        UnlearningError: a value out of range, or one that no run here can serve.
    """

    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    per_device_eval_batch_size: int = setting(256, "Samples a step and process in evaluation.")
    num_train_epochs: float = setting(6.0, "Passes over the training set.")
    learning_rate: float = setting(2e-3, "Peak learning rate; 5e-5 unless given when a trained model is fine-tuned.")
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls.")
    warmup_steps: float = setting(0.1, "Steps of linear warm-up; below 1: a share of all steps.")
    weight_decay: float = setting(0.05, "Decoupled weight decay (AdamW).")
    logging_steps: float = setting(50, "Log every so many steps.")
    remove_unused_columns: bool = field(default=False, metadata={"help": "Keep False: it drops the images."})
    save_strategy: str = field(default="no", metadata={"help": "When to save checkpoints: no, steps, epoch."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide non-finite losses in the logs."})

    def __post_init__(self) -> None:
        refuse_unserved(self)
        with in_words("these settings cannot be used"):
            super().__post_init__()


class ClassifierTrainer(WholeCheckpoints, PlainRefusals, Trainer):
    """A `Trainer` on a [`PixelDataset`], minimising cross-entropy. Its checkpoints restore whole."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: ClassifierConfig,
        train_dataset: PixelDataset,
        processing_class: BaseImageProcessor,
        **kwargs: Any,
    ):
        # The batch of a recipe is the batch on any machine.
        self.mended = take_one_gpu(args)
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            processing_class=processing_class,
            data_collator=_collate_without_index,
            **kwargs,
        )


def _collate_without_index(items: list[dict[str, Any]]) -> dict[str, Any]:
    batch = collate(items)
    del batch["index"]
    return batch
