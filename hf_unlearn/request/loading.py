"""Loading a dataset of images from the Hub or from the disk."""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_unlearn.errors import UnlearningError, did_you_mean, one_line, there_are
from hf_unlearn.files import NOT_FETCHED, is_pointer
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.request.image_folder import declares_configurations, is_picture_file, pictures_by_split

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, Features

# The files that `save_to_disk` leaves for a `DatasetDict` and for a `Dataset`.
_SAVED_DICT = "dataset_dict.json"
_SAVED_SPLIT = "state.json"


def load_image_dataset(
    name: str,
    config: str | None = None,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | None = None,
) -> DatasetDict:
    """Load all splits of a dataset. Code from a dataset repository is never run.

    Args:
        name: a name on the Hub, or a path: a folder from `save_to_disk`, an image folder (one sub-folder a
            class, with or without train and test folders above), a folder of parquet files, or one parquet
            file or picture. A path that exists comes before a name on the Hub. A single split is called `train`.
        config: a configuration. Of a local folder: one that its README.md declares, or a sub-folder that is
            itself a saved dataset or holds parquet files.
        revision: a branch, tag or commit, on the Hub only.
        token: a token for the Hub; by default the one stored on this machine.
        cache_dir: where `datasets` keeps what it downloads and converts.

    Raises:
        UnlearningError: if there is no such dataset, configuration or revision, if it cannot be read, or if
            the Hub cannot be reached.
    """
    path = Path(name).expanduser()
    if path.exists() and "::" in path.resolve().as_posix():
        raise UnlearningError(
            f"dataset {name!r} has '::' in its path, which `datasets` cannot read; expected another name"
        )
    with quiet_unless_terminal():
        if path.is_dir():
            return _load_folder(name, path, config, cache_dir)
        if path.is_file():
            return _load_file(name, path, config, cache_dir)
        if _looks_local(name):
            raise UnlearningError(f"dataset {name!r} does not exist: there is no such file or folder")
        return _load_hub(name, config, revision, token, cache_dir)


def _load_folder(name: str, path: Path, config: str | None, cache_dir: str | None) -> DatasetDict:
    if _is_saved(path):
        # The sub-folders of a saved dataset are its splits, not configurations.
        if config is not None:
            raise _unknown_config(name, config, [])
        return _load_saved(name, path)
    if config is not None and _is_plain_name(config) and _is_configuration(path / config):
        return _load_folder(f"{name}/{config}", path / config, None, cache_dir)
    if config is not None and not (path / "README.md").is_file():
        folders = sorted(folder.name for folder in path.iterdir() if _is_configuration(folder))
        raise _unknown_config(name, config, folders)
    try:
        pictures = None if config is not None else pictures_by_split(path)
        if pictures is not None:
            return _load_splits("imagefolder", data_files=pictures, cache_dir=cache_dir)
        return _load_splits(str(path), config, data_files=spelled_out(name, path), cache_dir=cache_dir)
    except UnlearningError:
        raise
    except Exception as error:
        raise explained(name, config, error, local=True) from error


def spelled_out(name: str, path: Path) -> dict[str, list[str]] | None:
    """The data files of a folder whose path `datasets` would read as a pattern; None for others, whose it finds itself.

    A folder `photos*` would bring the files of `photos2` along, one `photos [v1]` would bring none.

    Raises:
        UnlearningError: the folder declares its configurations itself, and `datasets` looks for these files by pattern.
    """
    from datasets.data_files import get_data_patterns

    plain = path.resolve().as_posix()
    escaped = glob.escape(plain)
    if escaped == plain:
        return None
    if declares_configurations(path):
        raise UnlearningError(
            f"dataset {name!r} has characters of a pattern ([, * or ?) in its path, and configurations in its "
            "README.md, which do not go together; expected a folder of another name"
        )
    return {
        str(split): [f"{escaped}/{pattern}" for pattern in patterns]
        for split, patterns in get_data_patterns(escaped).items()
    }


def _load_saved(name: str, path: Path) -> DatasetDict:
    from datasets import DatasetDict

    try:
        if not (path / _SAVED_DICT).is_file():
            return DatasetDict({"train": _load_saved_split(path)})
        splits = json.loads((path / _SAVED_DICT).read_text(encoding="utf-8"))["splits"]
        return DatasetDict({split: _load_saved_split(path / split) for split in splits})
    except Exception as error:
        raise explained(name, None, error, local=True) from error


def _load_saved_split(path: Path) -> Dataset:
    from datasets import Dataset, DatasetInfo

    state = path / _SAVED_SPLIT
    if state.is_file() and json.loads(state.read_text(encoding="utf-8")).get("_data_files") == []:
        # Without a row there is no file of data, and `datasets` cannot read what it saved itself.
        return _without_rows(DatasetInfo.from_directory(str(path)).features)
    return Dataset.load_from_disk(str(path))


def _load_splits(*args: Any, **kwargs: Any) -> DatasetDict:
    """`load_dataset` of all splits, those without rows among them."""
    from datasets import DatasetDict, load_dataset, load_dataset_builder

    try:
        return load_dataset(*args, **kwargs)
    except ValueError as error:
        # What it raises of a split without rows, all data being there.
        if "corresponds to no data" not in str(error):
            raise
    builder = load_dataset_builder(*args, **kwargs)
    builder.download_and_prepare()
    return DatasetDict(
        {
            str(split): builder.as_dataset(split=split) if found.num_examples else _without_rows(builder.info.features)
            for split, found in (builder.info.splits or {}).items()
        }
    )


def _without_rows(features: Features | None) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict({column: [] for column in features or {}}, features=features)


def _load_file(name: str, path: Path, config: str | None, cache_dir: str | None) -> DatasetDict:
    kind = "imagefolder" if is_picture_file(path) else "parquet"
    if kind == "parquet" and path.suffix.lower() != ".parquet":
        raise UnlearningError(f"dataset {name!r} is a file, but neither a .parquet one nor a picture")
    if config is not None:
        raise _unknown_config(name, config, [])
    try:
        return _load_splits(kind, data_files={"train": glob.escape(str(path))}, cache_dir=cache_dir)
    except Exception as error:
        raise explained(name, None, error, local=True) from error


def _load_hub(
    name: str, config: str | None, revision: str | None, token: str | None, cache_dir: str | None
) -> DatasetDict:
    try:
        return _load_splits(name, config, revision=revision, token=token, cache_dir=cache_dir)
    except Exception as error:
        raise explained(name, config, error, revision=revision, token=token) from error


def explained(
    name: str,
    config: str | None,
    error: Exception,
    *,
    local: bool = False,
    revision: str | None = None,
    token: str | None = None,
) -> UnlearningError:
    """The error to raise when a dataset cannot be loaded: what went wrong, in one line.

    Args:
        name, config, revision, token: of the dataset.
        error: what another library raised. `datasets` tells most of its faults apart by their message alone.
        local: it was looked for on this machine.
    """
    from datasets import get_dataset_config_names
    from datasets.exceptions import DatasetNotFoundError

    message = str(error) or type(error).__name__
    if isinstance(error, ValueError) and ("BuilderConfig" in message or "Config name is missing" in message):
        path = str(Path(name).expanduser()) if local else name
        try:
            configs = get_dataset_config_names(path, revision=revision, token=token)
        except Exception:
            # The list is a help in the message; without it, the message still says what is wrong.
            configs = None
        if config is not None:
            return _unknown_config(name, config, configs)
        known = f", name one of: {there_are(configs)}" if configs else ", name one"
        return UnlearningError(f"dataset {name!r} has several configurations{known}")
    if isinstance(error, DatasetNotFoundError) and "gated" in message:
        return UnlearningError(f"dataset {name!r} is gated: ask for access on its page, and log in to the Hub")
    if isinstance(error, DatasetNotFoundError) and "Revision" in message:
        return UnlearningError(f"dataset {name!r} has no revision {revision!r}")
    if isinstance(error, DatasetNotFoundError):
        return UnlearningError(
            f"dataset {name!r} is neither a local folder nor a dataset on the Hub that can be accessed"
        )
    if isinstance(error, ConnectionError) and not local:
        return UnlearningError(
            f"dataset {name!r} is not a local folder, and the Hugging Face Hub cannot be reached to look for it"
        )
    pointer = _pointer_in(Path(name).expanduser()) if local else None
    if pointer is not None:
        return UnlearningError(f"dataset {name!r} cannot be loaded: its file {pointer!r} {NOT_FETCHED}")
    return UnlearningError(f"dataset {name!r} cannot be loaded: {one_line(error)}")


def _pointer_in(path: Path) -> str | None:
    """The first file of a dataset that only says where Git LFS has it, if any."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return next((file.name for file in files if file.is_file() and is_pointer(file)), None)


def _unknown_config(name: str, config: str, configs: list[str] | None) -> UnlearningError:
    """The error for a configuration that does not exist; `configs` is None where they cannot be listed."""
    known = ""
    if configs is not None:
        known = f"; {did_you_mean(config, configs) if configs else 'it has none to choose from'}"
    return UnlearningError(f"dataset {name!r} has no configuration {config!r}{known}")


def _looks_local(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith(("/", ".parquet"))


def _is_plain_name(config: str) -> bool:
    return Path(config).name == config and config not in ("", ".", "..")


def _is_saved(path: Path) -> bool:
    return (path / _SAVED_DICT).is_file() or (path / _SAVED_SPLIT).is_file()


def _is_configuration(path: Path) -> bool:
    return path.is_dir() and (_is_saved(path) or any(path.glob("**/*.parquet")))
