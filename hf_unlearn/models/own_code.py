"""Models and image processors whose code comes with them (`trust_remote_code`)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

# Where such code is imported from.
_PACKAGE = "transformers_modules"
_CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json")


def has_own_code(*objects: object) -> bool:
    """Whether the class of a model or of an image processor came with it: whoever loaded it has trusted that code."""
    return any(type(each).__module__.split(".")[0] == _PACKAGE for each in objects)


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
