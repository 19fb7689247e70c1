"""Where a dataset was loaded from, as far as it says: its files in the cache of `datasets` do, with or without the Hub.

That cache has the rows of `org/name` in `org___name/CONFIGURATION/VERSION/COMMIT/`; for files that were on this machine
a digest of another length stands in the place of the commit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hf_unlearn.names import is_hub_name, public_name

if TYPE_CHECKING:
    from datasets import Dataset

_COMMIT = re.compile("[0-9a-f]{40}")
_DIGEST = re.compile("[0-9a-f]{16,}")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def loaded_commit(dataset: Dataset, name: str | None) -> str | None:
    """The commit of the Hub that `dataset` was loaded at; None where it does not say.

    Args:
        name: of the dataset on the Hub; what was loaded by another has no commit of this.
    """
    for folder in _folders(dataset) if name is not None else ():
        if folder.parents[2].name == _cache_name(str(name)) and _COMMIT.fullmatch(folder.name):
            return folder.name
    return None


def public_dataset_name(name: str | None, dataset: Dataset) -> str | None:
    """The name as it can be published: of a local path its last part only, a name on the Hub as it is.

    Args:
        dataset: what was loaded by that name, by now from a place that may have gone or be out of sight.
    """
    return None if name is None else public_name(name, is_hub_dataset(name, dataset))


def is_hub_dataset(name: str, dataset: Dataset) -> bool:
    """Whether a dataset that goes by `name` is the Hub's; the Hub is not asked."""
    if loaded_commit(dataset, name) is not None:
        return True
    return is_hub_name(name) and not any(
        _is_of_files(folder) or f"/{name}/" in f"{folder.as_posix()}/" for folder in _folders(dataset)
    )


def _is_of_files(folder: Path) -> bool:
    """Whether a folder is the cache of files that were on this machine."""
    is_cache = _DIGEST.fullmatch(folder.name) and _VERSION.fullmatch(folder.parent.name)
    return bool(is_cache) and not _COMMIT.fullmatch(folder.name)


def _folders(dataset: Dataset) -> list[Path]:
    found = [Path(file["filename"]).parent for file in getattr(dataset, "cache_files", None) or ()]
    return [folder for folder in found if len(folder.parents) > 2]


def _cache_name(name: str) -> str:
    from datasets.naming import camelcase_to_snakecase

    namespace, _, rest = name.rpartition("/")
    rest = camelcase_to_snakecase(rest)
    return f"{namespace}___{rest}" if namespace else rest
