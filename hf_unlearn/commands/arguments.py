"""The flags of the commands, as dataclasses that import nothing heavy (see `parsing.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def flag(description: str, default: Any = None, **metadata: Any) -> Any:
    """A dataclass field with its line of help."""
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: default, metadata={"help": description, **metadata})
    return field(default=default, metadata={"help": description, **metadata})


@dataclass
class ModelArguments:
    """Which model"""

    model_name_or_path: str = field(metadata={"help": "Image classifier: a name on the Hub, or a folder."})
    model_revision: str | None = flag("Branch, tag or commit of the model on the Hub.")
    dtype: str = flag("Of the weights: float32, bfloat16, float64, or auto (the checkpoint's).", "float32")
    trust_remote_code: bool = flag("Run code that comes with the model.", False)
    allow_pickle: bool = flag("Take weights that are pickled, not safetensors; nothing but tensors from them.", False)


@dataclass
class DataArguments:
    """Which data"""

    dataset_name: str = field(
        metadata={"help": "A name on the Hub, a folder from save_to_disk, an image folder, or parquet files."}
    )
    dataset_config_name: str | None = flag("Configuration of the dataset.")
    dataset_revision: str | None = flag("Branch, tag or commit of the dataset on the Hub.")
    train_split: str | None = flag("Split that the model was trained on (default: train).")
    test_split: str | None = flag("Split for testing (default: test, else validation).")
    image_column_name: str | None = flag("Column of images (default: the one of type Image).")
    label_column_name: str | None = flag("Column of labels (default: the one of type ClassLabel).")


@dataclass
class RequestArguments:
    """What to forget: one kind of request"""

    forget_classes: list[str] | None = flag("Classes, by name or id.")
    forget_subclasses: list[str] | None = flag("Values of --subclass_column, by name or id.")
    subclass_column: str | None = flag("Column of the finer labels.")
    forget_fraction: float | None = flag("A random share of the training set, between 0 and 1.")
    forget_count: int | None = flag("A random number of training samples.")
    forget_stratify: bool = flag("Draw the random samples from each class in proportion.", False)
    forget_seed: int = flag("Seed of the random samples.", 0)
    forget_indices: list[str] | None = flag("Indices of training samples, or one file of them (txt, json, npy).")
    forget_where: list[str] | None = flag(
        "Rows by value, COLUMN=VALUE: a person's photographs, say. Several values of one column: any of them; several "
        "columns: all of them."
    )
    forget_dataset_config: str | None = flag("A configuration of the dataset that is itself the forget set.")
    forget_split: str | None = flag("A split of the dataset that is itself the forget set.")


@dataclass
class OutputArguments:
    """Where to"""

    overwrite_output_dir: bool = flag("Write into an output folder that is not empty.", False)
