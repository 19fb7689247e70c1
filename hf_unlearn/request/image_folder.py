"""Folders of pictures: which files are whose split, so that none is left out because of its name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

# What `datasets` takes for the name of a split, as a word of a folder's or a file's name.
_SPLIT_OF_WORD = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "dev", "val"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
# Folders that hold one of these are no mere folders of pictures.
_DATA = {".parquet", ".arrow", ".tar", ".gz", ".tgz", ".zip"}
# Formats of cameras and telephones that Pillow does not read by itself.
_OTHER_PICTURES = {
    *(".heic", ".heif", ".hif", ".avif", ".avifs", ".jxl", ".mpo", ".dng"),
    *(".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
}
_METADATA = {"metadata.csv", "metadata.jsonl", "metadata.parquet"}


def pictures_by_split(folder: Path) -> dict[str, list[str]] | None:
    """The files of each split of a folder of pictures, as patterns, where `datasets` might leave some out.

    `datasets` looks for the words train, test and so on in the names of all folders and files below, and if any has one
    leaves out those that have none: a class "bullet train" or a photograph "test drive.jpg" is then all that there is.
    Here a folder is parted into splits only if it consists of folders of such names.

    Returns:
        None where `datasets` finds all pictures by itself, and of folders of something else.
    """
    files = list(_files(folder))
    pictures = [file for file in files if _is_readable(file)]
    if not pictures or _DATA & {file.suffix.lower() for file in files} or declares_configurations(folder):
        return None
    # It goes by what most files are, and does not know a suffix such as .Jpeg.
    alike = all(file.suffix in (file.suffix.lower(), file.suffix.upper()) for file in pictures)
    others = len(files) > len(pictures) + sum(file.name in _METADATA for file in files)
    by_chance = any(_split_of(part) for file in pictures for part in (*file.parts[:-1], file.stem))
    return _parted(folder, pictures) if by_chance or others or not alike else None


def _parted(folder: Path, pictures: Sequence[PurePosixPath]) -> dict[str, list[str]] | None:
    tops = {file.parts[0] for file in pictures if len(file.parts) > 1}
    at_top = any(len(file.parts) == 1 for file in pictures)
    if len(tops) == 1 and not at_top and not _split_of(*tops):
        (top,) = tops
        return _parted(folder / top, [file.relative_to(top) for file in pictures])
    escaped = glob.escape(folder.resolve().as_posix())
    split_of = {top: _split_of(top) for top in sorted(tops)}
    if tops and not at_top and all(split_of.values()):
        # In this order: `datasets` decides by the first of them whether there are labels.
        return {
            split: [f"{escaped}/{glob.escape(top)}/**" for top in split_of if split_of[top] == split]
            for split in dict.fromkeys(_SPLIT_OF_WORD.values())
            if split in split_of.values()
        }
    if any(len(file.parts) > 2 and split_of[file.parts[0]] for file in pictures):
        # Splits with folders of classes in them, beside something else that is none of them.
        return None
    return {"train": [f"{escaped}/**"]}


def left_out_pictures(folder: Path, loaded: Iterable[Dataset]) -> list[str]:
    """Pictures below a folder that are in none of the datasets that were loaded from it, relative to the folder.

    They are of formats that `datasets` does not read, or a metadata file beside them does not name them.
    """
    inside = os.path.realpath(folder)
    read, parts = set(), list(loaded)
    for part in parts:
        for column, feature in part.features.items():
            if _is_image(feature):
                paths = part.select_columns([column]).with_format("arrow")[:][column].combine_chunks().field("path")
                read |= {os.path.realpath(path) for path in paths.to_pylist() if path is not None}
    if parts and not any(path.startswith(inside + os.sep) for path in read):
        # The images are in files of data, and beside them nothing is one of them.
        return []
    unread = [file for file in _files(folder) if os.path.realpath(folder / file) not in read]
    return [file.as_posix() for file in unread if _is_readable(file) or _is_picture(folder, file)]


def is_picture_file(file: Path) -> bool:
    """Whether `datasets` reads the file as an image, by its name."""
    return file.is_file() and _is_readable(PurePosixPath(file.name))


def _is_readable(file: PurePosixPath) -> bool:
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    return file.suffix.lower() in ImageFolder.EXTENSIONS


def _is_image(feature: Any) -> bool:
    from datasets import Image

    return isinstance(feature, Image)


def _is_picture(folder: Path, file: PurePosixPath) -> bool:
    from PIL import Image

    if file.suffix.lower() in _OTHER_PICTURES:
        return True
    if file.name in _METADATA or file.suffix.lower() in _DATA:
        return False
    try:
        with Image.open(folder / file):
            return True
    # Pillow raises nearly anything on what is no picture.
    except Exception:
        return False


def _files(folder: Path) -> Iterator[PurePosixPath]:
    """The files below a folder, relative to it, without hidden ones."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        here = PurePosixPath(Path(place).relative_to(folder).as_posix())
        yield from (here / name for name in sorted(names) if not name.startswith("."))


def _split_of(name: str) -> str | None:
    """The split that a name tells of, by one of its words."""
    words = re.split(r"[-._ 0-9]+", name.lower())
    return next((_SPLIT_OF_WORD[word] for word in words if word in _SPLIT_OF_WORD), None)


def declares_configurations(folder: Path) -> bool:
    """Whether the folder's README.md says which files are which configuration."""
    from huggingface_hub import DatasetCard

    card = folder / "README.md"
    if not card.is_file():
        return False
    return "configs" in DatasetCard.load(card, ignore_metadata_errors=True).data.to_dict()
