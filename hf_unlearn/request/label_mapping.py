"""Which of the model's labels a label of the dataset is, where their names do not say it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_unlearn.errors import UnlearningError, one_line

# Dataset label (name or id) -> model label (name or id), or one of the two words.
LabelMapping = Mapping[str | int, str | int] | str
IN_ORDER = "order"
BY_ID = "id"


def as_label_mapping(given: Any) -> LabelMapping | None:
    """A label mapping, of which only the form is checked.

    Args:
        given: a mapping of dataset labels (names or ids) to model labels (names or ids); the path of a JSON file that
            holds one, or the JSON itself; "order" (the dataset's labels are the model's, in the same order) or "id"
            (the dataset's label ids are the model's class ids); or None.

    Raises:
        UnlearningError: no such file, not JSON, not an object, an empty one, a label given twice, or a target that is
            neither a name nor an integer.
    """
    if given is None or given in (IN_ORDER, BY_ID):
        return given
    if isinstance(given, (str, os.PathLike)):
        text = os.fspath(given)
        given = _parse(text, "label_mapping") if text.lstrip().startswith("{") else _read(text)
    if not isinstance(given, Mapping):
        raise UnlearningError(
            f"label_mapping {given!r} is not a mapping of dataset labels to model labels, nor the path of a JSON file "
            f"of one, nor {IN_ORDER!r} or {BY_ID!r}"
        )
    if not given:
        raise UnlearningError("label_mapping is empty; expected dataset labels and the model's labels that they are")
    return {_label(label, "the label"): _label(target, f"the target of {label!r}") for label, target in given.items()}


def _label(value: Any, what: str) -> str | int:
    # A numpy integer is as good an id as an int.
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UnlearningError(f"label_mapping: {what} is {value!r}; expected a name or an integer id")
    return value


def _read(path: str) -> dict[str, Any]:
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UnlearningError(
            f"label_mapping {path!r} cannot be read ({reason}); expected a JSON file, {IN_ORDER!r} or {BY_ID!r}"
        ) from error
    return _parse(text, f"label_mapping {path!r}")


def _parse(text: str, what: str) -> dict[str, Any]:
    try:
        held = json.loads(text, object_pairs_hook=_without_repeats)
    except UnlearningError as error:
        raise UnlearningError(f"{what} {error}") from None
    except (ValueError, RecursionError) as error:
        raise UnlearningError(f"{what} is not JSON: {one_line(error)}") from error
    if not isinstance(held, dict):
        raise UnlearningError(
            f'{what} holds a {type(held).__name__}; expected an object such as {{"dataset label": "model label"}}'
        )
    return held


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UnlearningError(f"gives the label {name!r} more than once; expected one target each")
        found[name] = value
    return found
