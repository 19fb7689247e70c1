"""What of the settings of a model and an image processor is theirs: `save_pretrained` writes whatever they were given.

A path of somebody's machine, a name, a note in a `config.json` goes through `from_pretrained` and `save_pretrained`
unseen, since transformers keeps what it does not know. Published is what the class defines, and nothing else.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from hf_unlearn.files import write_json
from hf_unlearn.models.own_code import code_files, has_own_code

# What `from_pretrained` reads itself, of whatever class.
_OF_ANY_CONFIG = {"model_type", "transformers_version", "torch_dtype", "auto_map", "quantization_config", "num_labels"}
_OF_ANY_PROCESSOR = {"image_processor_type", "feature_extractor_type", "processor_class", "auto_map"}
# These every configuration has.
_PLACES = {"_name_or_path", "name_or_path", "_commit_hash"}
_PLAIN = (bool, int, float, str, list, tuple, dict)


def keep_known_keys(folder: str | os.PathLike, model: PreTrainedModel, processor: object) -> None:
    """Leave in the settings that lie in a folder what their classes define.

    Known of a configuration are the fields and arguments of its class (and below a key that holds a configuration of
    another class, that one's), of an image processor its arguments and attributes. Of classes whose code lies beside
    them, so is every name that this code uses. Where a model was loaded from is no setting of it.

    Args:
        folder: where they were saved.
        model, processor: what was saved; the latter may be None.
    """
    path = Path(folder, "config.json")
    _rewrite(path, lambda held: _known_part(held, model.config, _named_in_code(folder, model)))
    if processor is None:
        return
    known = _OF_ANY_PROCESSOR | _keys_of_processor(type(processor)) | _named_in_code(folder, processor)

    def of_processor(held: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in held.items() if key in known}

    _rewrite(Path(folder, "preprocessor_config.json"), of_processor)
    # There the image processor is one of several parts, of which others are not needed.
    _rewrite(
        Path(folder, "processor_config.json"),
        lambda held: {
            key: of_processor(value) if isinstance(value, Mapping) else value
            for key, value in held.items()
            if key in ("image_processor", "processor_class", "auto_map")
        },
    )


def _rewrite(path: Path, part: Any) -> None:
    if not path.is_file():
        return
    held = json.loads(path.read_text(encoding="utf-8"))
    kept = part(held)
    if kept != held:
        write_json(kept, path)


def _known_part(held: Mapping[str, Any], config: PretrainedConfig, named: set[str]) -> dict[str, Any]:
    known = _OF_ANY_CONFIG | _keys_of_config(type(config)) | named
    kept = {key: value for key, value in held.items() if key in known - _PLACES}
    for key, value in kept.items():
        below = getattr(config, key, None)
        if isinstance(below, PretrainedConfig) and isinstance(value, Mapping):
            kept[key] = _known_part(value, below, named)
    return kept


def _keys_of_config(kind: type[PretrainedConfig]) -> set[str]:
    found = _arguments(kind) | set(kind.attribute_map)
    if dataclasses.is_dataclass(kind):
        found |= {field.name for field in dataclasses.fields(kind)}
    # Some need arguments.
    with contextlib.suppress(Exception):
        found |= set(kind().to_dict())
    return found


def _keys_of_processor(kind: type) -> set[str]:
    found = _arguments(kind)
    for each in kind.__mro__:
        found |= set(getattr(each.__dict__.get("valid_kwargs"), "__annotations__", {}))
        found |= {
            name
            for name, value in vars(each).items()
            if not name.startswith("_") and (value is None or isinstance(value, _PLAIN))
        }
    with contextlib.suppress(Exception):
        found |= set(vars(kind()))
    return found


def _arguments(kind: type) -> set[str]:
    """The names of what classes of its line take when they are made."""
    return {
        name
        for each in kind.__mro__
        if "__init__" in vars(each) and each is not object
        for name, one in inspect.signature(each.__init__).parameters.items()  # type: ignore[misc]
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) and name != "self"
    }


def _named_in_code(folder: str | os.PathLike, owner: object) -> set[str]:
    """What the code in a folder calls anything, if the class of `owner` is of that code."""
    found: set[str] = set()
    for name in code_files(folder) if has_own_code(owner) else ():
        for node in ast.walk(ast.parse(Path(folder, name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.arguments):
                # Not what `**kwargs` itself is called.
                found |= {each.arg for each in (*node.posonlyargs, *node.args, *node.kwonlyargs)}
            elif isinstance(node, ast.keyword) and node.arg is not None:
                found.add(node.arg)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found
