"""What is wrong with a file of a model's folder, where the library that reads it says it in its own terms."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import safe_open

from hf_unlearn.errors import one_line
from hf_unlearn.files import NOT_FETCHED, is_pointer

_WEIGHTS = ("*.safetensors", "*.bin")


def fault_of_weights(name: str) -> str | None:
    """Which file of weights is broken and how; None where that is not known, as of a model of the Hub.

    Args:
        name: of the model; a folder, to be looked into.
    """
    if not os.path.isdir(name):
        return None
    for file in sorted(path for pattern in _WEIGHTS for path in Path(name).glob(pattern) if path.is_file()):
        if is_pointer(file):
            return f"{file.name!r} {NOT_FETCHED}"
        if file.suffix == ".safetensors":
            try:
                with safe_open(file, framework="pt"):
                    pass
            except Exception as error:
                return f"{file.name!r} is broken, or holds something else than safetensors ({one_line(error)})"
    return None


def fault_of_settings(name: str, file: str) -> str | None:
    """What is wrong with a file of settings as such: it is no JSON, or no object; None where that is not known.

    Args:
        name: of the model; a folder, to be looked into.
        file: such as `config.json`.
    """
    path = Path(name, file)
    if not path.is_file():
        return None
    if is_pointer(path):
        return NOT_FETCHED
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"is not JSON ({one_line(error)})"
    return None if isinstance(held, dict) else f"holds a {type(held).__name__}; expected an object of settings"
