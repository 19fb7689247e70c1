"""The YAML head of a card: reading it, checking it, and the tags that the Hub makes of it."""

from __future__ import annotations

import re
from typing import Any

import yaml

_HEAD = re.compile(r"\A\s*---[ \t]*\r?\n(.*?)(?:\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_REPO_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def read_head(text: str) -> tuple[dict[str, Any], str | None]:
    """The metadata of a card, empty if there are none, and what is wrong with them."""
    match = _HEAD.match(text)
    if match is None:
        return {}, None
    try:
        value = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        return {}, f"Invalid YAML metadata: {str(error).splitlines()[0]}"
    if value is None:
        return {}, None
    if not isinstance(value, dict):
        return {}, "Invalid YAML metadata: it must be a mapping"
    return value, None


def problems(text: str) -> list[str]:
    """Why the Hub would refuse the card: the YAML, and the fields that the Hub itself reads."""
    head, error = read_head(text)
    if error:
        return [error]
    found = []
    for name in ("base_model", "datasets"):
        for value in _listed(head.get(name)):
            if not isinstance(value, str) or not _REPO_ID.fullmatch(value):
                found.append(f'"{name}" with value {value!r} is not valid. Use the id of a repository.')
    for name in ("tags", "metrics"):
        values = head.get(name)
        if values is not None and not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
            found.append(f'"{name}" must be an array of strings')
    for name in ("license", "pipeline_tag", "library_name"):
        if name in head and not isinstance(head[name], (str, list) if name == "license" else str):
            found.append(f'"{name}" must be a string')
    return found + _index_problems(head.get("model-index"))


def _index_problems(index: Any) -> list[str]:
    if index is None:
        return []
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    found = []
    for number, entry in enumerate(index):
        where = f"model-index[{number}]"
        if not isinstance(entry, dict) or "name" not in entry:
            found.append(f'"{where}.name" is required')
            continue
        for position, result in enumerate(entry.get("results") or []):
            needs = {"task": ("type",), "dataset": ("type", "name")}
            missing = [
                f"{part}.{key}" for part, keys in needs.items() for key in keys if key not in (result.get(part) or {})
            ]
            metrics = result.get("metrics") or [{}]
            missing += [f"metrics.{key}" for key in ("type", "value") if any(key not in metric for metric in metrics)]
            found += [f'"{where}.results[{position}].{name}" is required' for name in missing]
    return found


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def tags(head: dict[str, Any]) -> list[str]:
    """The tags under which the Hub finds a repository: those of the card, and those made of its other fields."""
    found = [str(head[name]) for name in ("library_name", "pipeline_tag") if head.get(name)]
    found += [str(tag) for tag in _listed(head.get("tags"))]
    found += [f"license:{value}" for value in _listed(head.get("license"))]
    found += [f"dataset:{value}" for value in _listed(head.get("datasets"))]
    relation = head.get("base_model_relation")
    for value in _listed(head.get("base_model")):
        found += [f"base_model:{value}", *([f"base_model:{relation}:{value}"] if relation else [])]
    return list(dict.fromkeys(found))
