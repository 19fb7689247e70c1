"""The record of a run: what was forgotten, from what, how, and how well. It can be published as it is."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import torch

import hf_unlearn
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import WHOLE_CLASS_ACCURACY
from hf_unlearn.files import RECORD_NAME, write_json
from hf_unlearn.names import public_name
from hf_unlearn.publishing.secrecy import Disclosure, published
from hf_unlearn.request.kept import keep_withheld, with_withheld

if TYPE_CHECKING:
    from hf_unlearn.request import UnlearningSplits

SCHEMA_VERSION = 2
# Points of forget accuracy by which an earlier request may come back.
MOST_BACK = 1.0
_LIBRARIES = ("torch", "transformers", "datasets", "accelerate")


def unlearning_record(
    *,
    method: Mapping[str, Any],
    original: Mapping[str, Any],
    splits: UnlearningSplits | None,
    forget_kind: str,
    num_forget: int,
    dataset_commit: str | None,
    dataset_private: bool | None = None,
    run: Mapping[str, Any],
    settings: Mapping[str, Any],
    weights_sha256: Mapping[str, str],
    checks: Mapping[str, Any],
    settings_given: Mapping[str, Any] | None = None,
    settled: Sequence[str] = (),
    disclosure: Disclosure | None = None,
) -> dict[str, Any]:
    """All that is known of a run; no index, no sample, no token, no path of the machine.

    [`write_record`] parts it: `unlearning.json` holds what may be published (see `hf_unlearn.publishing.secrecy`).

    Args:
        method: `name`, `title` and `paper` (the paper's arXiv number).
        original: `name` of the model, its `revision` and `license`, and whether it is `from_hub`; of a licence of its
            own (`other`) `license_name` and `license_link`, and whether it is `private` on the Hub.
        splits: of the request, if they are known.
        forget_kind: what becomes of the forgotten samples' classes: `class`, `subclass` or `subset`.
        num_forget: size of the forget set.
        dataset_commit: the commit that the dataset was loaded at, if it is of the Hub.
        dataset_private: whether it is private there, if the Hub said so.
        run: `steps`, `stop_reason`, `seconds`, `retain_free`, `data_used`, `premise`, `in_progress`, `adapter` (None,
            or the `kind` of adapter and its `base_model`, with `name`, `revision` and `from_hub`), and what else there
            is to say of it.
        settings: from [`public_arguments`].
        weights_sha256: digests of the `original` and the `unlearned` weights.
        checks: the run's own figures before and after, percent.
        settings_given: those of the settings that are not the method's defaults, from [`given_arguments`].
        settled: names of the settings that were left open and followed from what becomes of the classes.
        disclosure: what the owner wants to have published; by default no more than must be.
    """
    name = str(original["name"])
    return {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "disclosure": (disclosure or Disclosure())._asdict(),
        "method": dict(method),
        "original_model": {
            "name": public_name(name, original["from_hub"]),
            "revision": original.get("revision"),
            "license": original.get("license"),
            "from_hub": original["from_hub"],
            **{key: original[key] for key in ("license_name", "license_link", "private") if original.get(key)},
        },
        "request": None if splits is None else {**splits.request.summary(), "text": splits.request.describe()},
        "dataset": None if splits is None else _dataset(splits, dataset_commit, dataset_private),
        "whole_classes": forget_kind == "class",
        "num_forget": num_forget,
        # They may be known without being at hand.
        "num_retain": None if splits is None else len(splits.retain_indices) or None,
        **run,
        "settings": dict(settings),
        "settings_given": dict(settings_given or {}),
        "settled": list(settled),
        "weights_sha256": dict(weights_sha256),
        "checks": dict(checks),
        "evaluation": None,
        "hardware": hardware(),
        "versions": {
            "hf-unlearn": hf_unlearn.__version__,
            "python": platform.python_version(),
            **{
                name: importlib.metadata.version(name)
                for name in (*_LIBRARIES, *(["peft"] if run.get("adapter") else []))
            },
        },
    }


def _dataset(splits: UnlearningSplits, commit: str | None, private: bool | None) -> dict[str, Any]:
    fingerprint = splits.fingerprint.to_dict()
    if splits.request.kind == "samples":
        fingerprint["labels_from"] = splits.labels_from
    fingerprint.pop("request")
    revision = commit or fingerprint.pop("dataset_revision")
    fingerprint.pop("dataset_revision", None)
    return {
        "name": fingerprint.pop("dataset_name"),
        "revision": revision,
        "from_hub": commit is not None,
        **({"private": True} if private else {}),
        "label_column": splits.label_column,
        # What the dataset calls its labels may be names of people: that a mapping was given is enough.
        "label_mapping": "given" if isinstance(splits.label_mapping, Mapping) else splits.label_mapping,
        "image_column": splits.image_column,
        "num_labels": len(splits.label_names),
        "skip_unreadable": splits.skip_unreadable,
        **fingerprint,
    }


def request_met(record: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the run's own figures say that the request was met, and in words why.

    Whole classes: the forget accuracy is at most `WHOLE_CLASS_ACCURACY`, whatever a reference has. Other requests: the
    model is nearer to a retrained one than the original is, or a tie with it; without a retrained model nobody can
    tell, and that is no reason against.
    """
    evaluation = record.get("evaluation") or {}
    models = evaluation.get("models", {})
    for number, each in enumerate(record.get("earlier") or (), start=1):
        # Percent, before this request and after it.
        found = (each.get("checks") or {}).get("forget_accuracy") or {"before": 0.0, "after": 0.0}
        was, now = found["before"], found["after"]
        if each.get("whole_classes") and now > max(WHOLE_CLASS_ACCURACY, was + MOST_BACK):
            return False, f"request {number} came back: its forget accuracy was {was:.1f} % and is {now:.1f} %"
    after = models.get("unlearned", {}).get("forget_accuracy", (record.get("checks") or {}).get("forget_accuracy", {}))
    if isinstance(after, Mapping):
        after = after.get("after")
    if record.get("whole_classes") and after is not None:
        allowed = f"a model that never saw these classes has 0 %, and up to {WHOLE_CLASS_ACCURACY:g} % are let pass"
        return after <= WHOLE_CLASS_ACCURACY, f"forget accuracy {after:.1f} %; {allowed}"
    verdict = evaluation.get("verdict") or {}
    if verdict.get("closer_than_doing_nothing") is False and not verdict.get("tie_with_retrained"):
        return False, "it is no nearer to a retrained model than the original is"
    if verdict.get("closer_than_doing_nothing") is None:
        return True, "nobody can tell without a retrained model"
    return True, "it is nearer to a retrained model than the original is, or a tie with it"


def hardware() -> str:
    """The machine in words, without its name."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}"
    return f"CPU, {os.cpu_count()} cores, {platform.machine()}"


def read_record(folder: str) -> dict[str, Any]:
    """The record in a folder, with what is not published of it: [`published`] says what may go out.

    Raises:
        UnlearningError: there is none, or it is of another version.
    """
    path = os.path.join(folder, RECORD_NAME)
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except OSError as error:
        raise UnlearningError(
            f"folder {folder!r} holds no {RECORD_NAME}; expected one that hf-unlearn unlearn wrote"
        ) from error
    except ValueError as error:
        raise UnlearningError(f"{path!r} is not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        version = record.get("schema_version") if isinstance(record, dict) else None
        raise UnlearningError(f"{path!r} has schema version {version!r}; expected {SCHEMA_VERSION}")
    return with_withheld(record, folder)


def write_record(record: Mapping[str, Any], folder: str) -> None:
    """Write into `folder` what may be published of a record, and beside it what may not; each whole or not at all.

    Raises:
        OSError: it cannot be written.
        ValueError: a number is not finite.
    """
    shown = published(record)
    # First, so that nothing is lost.
    keep_withheld(record, shown, folder)
    write_json(shown, os.path.join(folder, RECORD_NAME))


def set_disclosure(folder: str, **choices: bool | None) -> None:
    """Have more, or less, of a folder's record published from now on.

    Args:
        choices: of the fields of [`Disclosure`]; None: as it was.

    Raises:
        UnlearningError: the folder holds no record.
    """
    record = read_record(folder)
    given = {name: value for name, value in choices.items() if value is not None}
    record["disclosure"] = Disclosure.of(record)._replace(**given)._asdict()
    write_record(record, folder)


def add_evaluation(record: dict[str, Any], results: Mapping[str, Any]) -> None:
    """Put the results of an evaluation of the record's own request into it."""
    record["evaluation"] = _of_results(results)
    for each, found in zip(record.get("earlier") or (), results.get("earlier") or (), strict=False):
        if "models" in found:
            each["evaluation"] = _of_results(found)


def _of_results(results: Mapping[str, Any]) -> dict[str, Any]:
    others = ("fingerprint", "request", "earlier", "together")
    return {name: value for name, value in results.items() if name not in others}
