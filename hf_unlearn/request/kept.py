"""What is kept beside a model and never published: which samples it forgot, and the rest of its record."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hf_unlearn.files import FORGET_SET_NAME, WITHHELD_NAME, write_json
from hf_unlearn.request.forget_request import GIVEN_SETS
from hf_unlearn.request.images import images_sha256

if TYPE_CHECKING:
    from hf_unlearn.request.splits import UnlearningSplits


def keep_forget_set(splits: UnlearningSplits | None, folder: str | os.PathLike, original: str | None = None) -> None:
    """Write into a model's folder what recognises the forget set: a digest of its images, and in words what it is.

    Args:
        splits: None where there is no request: what an earlier model left in the folder goes.
        original: the folder of the model before unlearning, if it is one: later requests may begin with it.

    Raises:
        OSError: it cannot be written.
        UnlearningError: the file of an image cannot be read.
    """
    path = os.path.join(folder, FORGET_SET_NAME)
    if splits is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    about = "Recognises the forget set of this model. It could give away which samples they are: do not publish."
    begun = {} if original is None else {"original_model": original}
    write_json({"about": about, **recognised_by(splits), **begun}, path)


def recognised_by(splits: UnlearningSplits) -> dict[str, Any]:
    """What recognises a forget set: a digest of its images, however the request is spelt, and in words what it is.

    Raises:
        UnlearningError: the file of an image cannot be read.
    """
    return {
        "text": splits.request.describe(),
        "dataset": splits.fingerprint.dataset_name,
        "num_forget": len(splits.forget),
        "fingerprint": splits.fingerprint.id,
        "images_sha256": images_sha256(splits.forget, splits.image_column),
    }


def are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two forget sets are the same, by what recognises each (see [`recognised_by`])."""
    same_images = all(one[name] == other[name] for name in ("num_forget", "images_sha256"))
    return one["fingerprint"] == other["fingerprint"] or same_images


def read_forget_set(folder: str | os.PathLike) -> dict[str, Any]:
    """What [`keep_forget_set`] wrote, or nothing where there is none."""
    try:
        with open(os.path.join(folder, FORGET_SET_NAME), encoding="utf-8") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) and "images_sha256" in kept else {}


def is_forget_set(splits: UnlearningSplits, kept: Mapping[str, Any], record: Mapping[str, Any]) -> bool | None:
    """Whether the forget set of these splits is the one that a model forgot, however the request is spelt.

    Args:
        kept: from [`read_forget_set`], of the model's folder.
        record: the model's `unlearning.json`, which says less; looked at where nothing was kept.

    Returns:
        None where neither says enough.
    """
    if kept:
        if kept.get("fingerprint") == splits.fingerprint.id:
            return True
        if kept.get("num_forget") != len(splits.forget):
            return False
        return kept["images_sha256"] == images_sha256(splits.forget, splits.image_column)
    if "num_forget" not in record:
        return None
    if record["num_forget"] != len(splits.forget):
        return False
    dataset, fingerprint = record.get("dataset") or {}, splits.fingerprint
    # Published for requests that anyone may know; indices are counted in one dataset.
    if dataset.get("sha256") is None:
        return None
    if (
        dataset["sha256"] == fingerprint.sha256
        and dataset.get("dataset_fingerprint") == fingerprint.dataset_fingerprint
    ):
        return True
    request = {name: value for name, value in (record.get("request") or {}).items() if name != "text"}
    ours = splits.request.summary()
    # The digest of a given set is one of samples, any other one of indices: they do not compare.
    comparable = (request.get("kind") in GIVEN_SETS) == (ours["kind"] in GIVEN_SETS)
    return False if comparable and request != ours else None


def keep_withheld(record: Mapping[str, Any], shown: Mapping[str, Any], folder: str | os.PathLike) -> None:
    """Write into a model's folder what of its record is not published, and nothing where all of it is.

    Args:
        record: all that is known.
        shown: what is published of it.

    Raises:
        OSError: it cannot be written.
        ValueError: a number is not finite.
    """
    path = os.path.join(folder, WITHHELD_NAME)
    withheld = {name: value for name, value in record.items() if name not in shown or shown[name] != value}
    if not withheld:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    kept = {
        "about": "The part of unlearning.json that could give away which samples were forgotten: do not publish.",
        "weights": _weights(record),
        "withheld": withheld,
    }
    write_json(kept, path)


def with_withheld(shown: Mapping[str, Any], folder: str | os.PathLike) -> dict[str, Any]:
    """A published record with what [`keep_withheld`] kept of the same model's, if it did."""
    try:
        with open(os.path.join(folder, WITHHELD_NAME), encoding="utf-8") as file:
            kept = json.load(file)
        withheld = kept["withheld"] if kept["weights"] == _weights(shown) else {}
        return {**shown, **withheld}
    except (OSError, ValueError, TypeError, KeyError):
        return dict(shown)


def _weights(record: Mapping[str, Any]) -> Any:
    """By what two records are of one model."""
    return (record.get("weights_sha256") or {}).get("unlearned")
