"""The flags of the commands, as dataclasses that import nothing heavy (see `parsing.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Flags whose value is, or can be, a path: `~` in it is expanded.
PATHS = {
    *("output_dir", "cache_dir", "folder", "resume_from_checkpoint", "forget_indices", "label_mapping"),
    *("model_name_or_path", "original_model", "reference_model"),
    *("dataset_name", "forget_dataset", "test_dataset"),
    *("key", "public_key", "certificate", "model", "opening", "ledger"),
}

# What a run on a model that was unlearned before begins with: the first model, with all requests, or this one.
BEGINNINGS = ("first", "newest")


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
    test_split: str | None = flag("Split for testing (default: test, or else validation, if it has labels).")
    image_column_name: str | None = flag("Column of images (default: the one of type Image).")
    label_column_name: str | None = flag("Column of labels (default: the one of type ClassLabel).")
    skip_unreadable: bool = flag("Go on without images that cannot be read, and say how many.", False)
    label_mapping: str | None = flag(
        "Where the names of labels differ from the model's: a JSON file of dataset label -> model label (or its id); "
        "or 'order' (as many, in the same order); or 'id' (the same ids)."
    )


@dataclass
class UnlearningDataArguments(DataArguments):
    """Which data: the whole training set, and below what to forget of it"""

    dataset_name: str | None = flag(  # type: ignore[assignment]
        "The training set: a name on the Hub, a folder from save_to_disk, an image folder, or parquet files."
    )
    streaming: bool = flag(
        "Of a dataset on the Hub, fetch the samples to forget and no others, and no test set but one that is named.",
        False,
    )


@dataclass
class ForgetSetArguments:
    """Or the samples to forget alone, in place of --dataset_name and a request"""

    forget_dataset: str | None = flag(
        "The samples to forget, all of them: a folder of photographs or of one folder a class, a folder from "
        "save_to_disk, parquet files, or a name on the Hub. The rest of the training set is not needed."
    )
    forget_kind: str | None = flag(
        "What becomes of their classes. class: they vanish; subset: other samples of them stay.",
        choices=["class", "subset"],
    )
    forget_label: str | None = flag(
        "Of samples without labels: the name of their class, or 'predicted' for what the model says of each."
    )
    forget_split_name: str | None = flag("The split that is meant, where there are several.")
    forget_dataset_config_name: str | None = flag("Configuration of the forget dataset.")
    forget_dataset_revision: str | None = flag("Branch, tag or commit of the forget dataset on the Hub.")


@dataclass
class TestSetArguments:
    """A test set from elsewhere"""

    test_dataset: str | None = flag(
        "Labelled samples for testing, as for --dataset_name; --test_split says which split of them."
    )
    test_dataset_config_name: str | None = flag("Configuration of the test dataset.")
    test_dataset_revision: str | None = flag("Branch, tag or commit of the test dataset on the Hub.")


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
class BeginningArguments:
    """Of a model that was unlearned before"""

    begin_with: str = flag(
        "first: the first model, which forgets all requests so far together, where it and their samples can be had, "
        "since what is lost by one run after the other adds up; else, or with newest: the model that was unlearned.",
        BEGINNINGS[0],
        choices=list(BEGINNINGS),
    )


@dataclass
class OutputArguments:
    """Where to"""

    overwrite_output_dir: bool = flag("Write into an output folder that is not empty.", False)
