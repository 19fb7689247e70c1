"""Models and image processors whose code comes with them (`trust_remote_code`)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoModelForImageClassification
from transformers.dynamic_module_utils import get_relative_import_files

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import write_json
from hf_unlearn.models.adapters import base_classifier

# Where such code is imported from.
_PACKAGE = "transformers_modules"
_CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json")


def has_own_code(*objects: object) -> bool:
    """Whether the class of a model or of an image processor came with it, or goes with it where it is saved
    (`register_for_auto_class`): whoever loaded or made it has trusted that code."""
    return any(_came_along(type(each)) or _goes_along(type(each)) for each in objects)


def _came_along(kind: type) -> bool:
    return kind.__module__.split(".")[0] == _PACKAGE


def _goes_along(kind: type) -> bool:
    # Code that was typed into an interpreter is in no file that could be saved.
    return getattr(kind, "_auto_class", None) is not None and kind.__module__ != "__main__"


def refuse_unloadable(model: nn.Module, processor: object = None) -> None:
    """Refuse a model or image processor of a class that nobody could load from what is saved of it.

    Raises:
        UnlearningError: the class is neither one of transformers that the Auto classes find, nor one whose code goes
            with it.
    """
    classifier = base_classifier(model)
    known = AutoModelForImageClassification._model_mapping.get(type(classifier.config), ())
    of_transformers = type(classifier).__module__.startswith("transformers.")
    if not has_own_code(classifier) and not (
        of_transformers and type(classifier) in (known if isinstance(known, tuple) else (known,))
    ):
        raise UnlearningError(
            f"the model is a {type(classifier).__name__}, which nobody could load from the Hub: expected a class that "
            "AutoModelForImageClassification gives for its type, or one in a module of its own that was registered "
            "with register_for_auto_class('AutoModelForImageClassification')"
        )
    if processor is None or has_own_code(processor) or type(processor).__module__.startswith("transformers."):
        return
    raise UnlearningError(
        f"the image processor is a {type(processor).__name__}, which nobody could load from the Hub: expected a class "
        "of transformers, or one that was registered with register_for_auto_class('AutoImageProcessor')"
    )


def forget_auto_maps(folder: str | os.PathLike, model: object, processor: object) -> None:
    """Of a model and an image processor whose classes are transformers' own, leave no mention of code that they came
    with and that was not run: it does not lie beside them, and may be another repository's.

    Args:
        folder: where they were saved.
        model, processor: what was saved; the latter may be None.
    """
    named = (("config.json",), ("preprocessor_config.json", "processor_config.json"))
    for each, names in zip((model, processor), named, strict=True):
        for name in names:
            path = Path(folder, name)
            if has_own_code(each) or not path.is_file():
                continue
            config = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(config, dict) and config.pop("auto_map", None) is not None:
                write_json(config, path)


def missing_code(folder: str | os.PathLike) -> list[str]:
    """The files of code that the configurations in a folder name, and that do not lie there."""
    return sorted({f"{module}.py" for module in _named_modules(folder) if not Path(folder, f"{module}.py").is_file()})


def code_files(folder: str | os.PathLike) -> list[str]:
    """The files of code that a model's folder needs to be loaded, by name: what its configurations name, and what those
    import from beside them. Code that lies in another repository is not among them."""
    found: set[str] = set()
    for module in _named_modules(folder):
        file = Path(folder, f"{module}.py")
        if file.is_file():
            found.add(file.name)
            found.update(Path(each).name for each in get_relative_import_files(file) if Path(each).is_file())
    return sorted(found)


def _named_modules(folder: str | os.PathLike) -> Iterator[str]:
    for name in _CONFIGS:
        try:
            config: Any = json.loads(Path(folder, name).read_text(encoding="utf-8"))
            named = list(config.get("auto_map", {}).values())
        except (OSError, ValueError, AttributeError):
            continue
        for each in named:
            # "module.Class", or "owner/name--module.Class" of another repository.
            if isinstance(each, str) and "--" not in each:
                yield each.rpartition(".")[0]
