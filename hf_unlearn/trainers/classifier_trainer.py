"""Ordinary training of an image classifier: for an original model, or for the retrained reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transformers import BaseImageProcessor, PreTrainedModel, Trainer, TrainingArguments

from hf_unlearn.models.pixels import PixelDataset, collate
from hf_unlearn.trainers.checkpoints import WholeCheckpoints
from hf_unlearn.trainers.parameters import ClassifierParameters


@dataclass
class ClassifierConfig(ClassifierParameters, TrainingArguments):
    r"""`TrainingArguments` for training a classifier.

    Defaults that differ from the parent's: those of [`ClassifierParameters`]; `remove_unused_columns` False, since it
    would drop the image column; `save_strategy` "no"; `logging_nan_inf_filter` False.
    """

    remove_unused_columns: bool = field(default=False, metadata={"help": "Keep False: it drops the images."})
    save_strategy: str = field(default="no", metadata={"help": "When to save checkpoints: no, steps, epoch."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Hide non-finite losses in the logs."})


class ClassifierTrainer(WholeCheckpoints, Trainer):
    """A `Trainer` on a [`PixelDataset`], minimising cross-entropy. Its checkpoints restore whole."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: ClassifierConfig,
        train_dataset: PixelDataset,
        processing_class: BaseImageProcessor,
        **kwargs: Any,
    ):
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
