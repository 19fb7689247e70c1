"""What the makers of datasets share: where a saved `datasets` dataset may go, and how it gets there whole."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hf_unlearn.errors import UnlearningError

if TYPE_CHECKING:
    from datasets import DatasetDict


def positive_int(text: str) -> int:
    """A flag's whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every maker of a dataset: where it goes, and how much of it is kept."""
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to save the dataset in")
    parser.add_argument("--overwrite_output_dir", action="store_true", help="replace what the output folder has")
    parser.add_argument("--max_train_samples", type=positive_int, help="keep only the first so many train samples")
    parser.add_argument("--max_test_samples", type=positive_int, help="keep only the first so many test samples")


def check_output_dir(output_dir: Path, overwrite: bool) -> None:
    """Raise an error if the folder is taken and may not be replaced."""
    if output_dir.exists() and not output_dir.is_dir():
        raise UnlearningError(f"{str(output_dir)!r} is not a folder")
    if not output_dir.is_dir() or not any(output_dir.iterdir()):
        return
    if not overwrite:
        raise UnlearningError(f"{str(output_dir)!r} is not empty; add --overwrite_output_dir to replace it")
    # The whole folder is removed, so it must be something that this script could have made.
    if not (output_dir / "dataset_dict.json").is_file():
        raise UnlearningError(f"{str(output_dir)!r} holds something other than a saved dataset")


def save(dataset: DatasetDict, output_dir: Path) -> None:
    """Save the dataset; what the folder had goes only when the new one is whole on the disk.

    Raises:
        UnlearningError: it cannot be written; the folder is as it was.
    """
    from hf_unlearn.progress import quiet_unless_terminal

    partial = output_dir.with_name(f"{output_dir.name}.partial-{os.getpid()}")
    try:
        with quiet_unless_terminal():
            dataset.save_to_disk(partial)
        if output_dir.is_dir():
            shutil.rmtree(output_dir)
        partial.rename(output_dir)
    except OSError as error:
        raise UnlearningError(f"cannot write {str(output_dir)!r}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sizes = " and ".join(f"{len(split)} {name}" for name, split in dataset.items())
    print(f"saved {sizes} samples in {output_dir}")
