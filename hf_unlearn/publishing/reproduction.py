"""The command that does a run again, from its record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hf_unlearn.publishing.markup import as_shell
from hf_unlearn.request.columns import USUAL_LABEL_COLUMNS

# By kind of request: its flag, the field that it has in the record, and what stands there if that is not published.
_FLAGS = {
    "class": ("forget_classes", "classes", "CLASS"),
    "subclass": ("forget_subclasses", "subclasses", "SUBCLASS"),
    "fraction": ("forget_fraction", "fraction", "FRACTION"),
    "count": ("forget_count", "count", "COUNT"),
    "dataset_config": ("forget_dataset_config", "dataset_config", "CONFIGURATION"),
    "split": ("forget_split", "split", "SPLIT"),
}


def reproduction(record: Mapping[str, Any]) -> str:
    """The command on one line; what is not published stands in it in capitals.

    Args:
        record: as it is published.
    """
    words = ["hf-unlearn", "unlearn", *_model(record), *_dataset(record), *_request(record)]
    words += ["--method", record["method"]["name"]]
    given = dict(record.get("settings_given") or {})
    # A draw of samples that is not told has its seed apart.
    seed = record["settings"].get("seed", "SEED")
    for name, value in {"seed": seed, **given}.items():
        words += _flag(name, value)
    if record.get("reference_split"):
        words += _flag("reference_split", record["reference_split"])
    if record.get("num_processes", 1) > 1:
        words += _flag("num_processes", record["num_processes"])
    words += [f"--{name}" for name in ("trust_remote_code", "allow_pickle") if record.get(name)]
    return as_shell([*words, "--output_dir", "unlearned"])


def _model(record: Mapping[str, Any]) -> list[str]:
    original = record["original_model"]
    words = _flag("model_name_or_path", original["name"])
    if original["from_hub"] and original["revision"]:
        words += _flag("model_revision", original["revision"])
    if record.get("dtype") not in (None, "float32"):
        words += _flag("dtype", record["dtype"])
    return words


def _dataset(record: Mapping[str, Any]) -> list[str]:
    dataset, request = record["dataset"] or {}, record["request"] or {}
    alone = request.get("kind") == "samples"
    place, name = ("forget_dataset", "forget_dataset") if alone else ("dataset", "dataset_name")
    words = _flag(name, dataset.get("name") or "DATASET")
    if dataset.get("dataset_config_name"):
        words += _flag(f"{place}_config_name", dataset["dataset_config_name"])
    if dataset.get("from_hub"):
        words += _flag(f"{place}_revision", dataset["revision"])
    if not alone and dataset.get("train_split", "train") not in ("train", None):
        words += _flag("train_split", dataset["train_split"])
    if dataset.get("image_column", "image") not in ("image", "img"):
        words += _flag("image_column_name", dataset["image_column"])
    if dataset.get("label_column", "label") not in USUAL_LABEL_COLUMNS:
        words += _flag("label_column_name", dataset["label_column"])
    if mapping := dataset.get("label_mapping"):
        words += _flag("label_mapping", "LABEL_MAPPING.json" if mapping == "given" else mapping)
    return [*words, *(["--skip_unreadable"] if dataset.get("skip_unreadable") else [])]


def _request(record: Mapping[str, Any]) -> list[str]:
    dataset, request = record["dataset"] or {}, record["request"] or {}
    kind = request.get("kind")
    if kind == "samples":
        # Of samples that others stay beside, the label may say whose they are.
        given = {"name": request.get("classes", ["LABEL"])[0], "predicted": "predicted"}.get(
            str(dataset.get("labels_from"))
        )
        return [*_flag("forget_kind", request["samples"]), *(_flag("forget_label", given) if given else [])]
    if kind == "where":
        return _flag("forget_where", [f"{column}=VALUE" for column in request.get("columns", ["COLUMN"])])
    if kind not in _FLAGS:
        return _flag("forget_indices", "INDICES.json")
    flag, field, unknown = _FLAGS[kind]
    words = _flag(flag, request.get(field, unknown))
    if kind == "subclass":
        words += _flag("subclass_column", request.get("subclass_column", "COLUMN"))
    if kind in ("fraction", "count"):
        words += [*_flag("forget_seed", request.get("seed", "SEED"))]
        words += ["--forget_stratify"] if request["stratify"] else []
    return words


def _flag(name: str, value: Any) -> list[str]:
    """A flag and its values, each of them taken for no flag itself."""
    texts = [_text(each) for each in (value if isinstance(value, (list, tuple)) else [value])]
    # What begins with two dashes is taken for a flag, unless it is written in one word with its own.
    joined = [f"--{name}={text}" for text in texts if text.startswith("-")]
    plain = [text for text in texts if not text.startswith("-")]
    return [*joined, *([f"--{name}", *plain] if plain else [])]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, Mapping) else str(value)
