"""The record of a run: what was forgotten, from what, and how. It can be published as it is."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import hf_unlearn
from hf_unlearn.models.pretrained import public_model_name
from hf_unlearn.trainers.checkpoints import public_arguments

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from hf_unlearn.request import UnlearningSplits
    from hf_unlearn.trainers.checks import Premise

SCHEMA_VERSION = 1


def unlearning_record(
    *,
    method: str,
    model_name: str,
    model_revision: str | None,
    splits: UnlearningSplits,
    args: TrainingArguments,
    steps: int,
    stop_reason: str,
    seconds: float,
    forget_accuracy: Mapping[str, float],
    premise: Premise | None,
    agreement: float | None,
) -> dict[str, Any]:
    """What `unlearning.json` holds; no index, no sample, no token.

    Args:
        seconds: wall-clock time of the unlearning alone.
        forget_accuracy: percent, `before` and `after`.
        premise: sensitivities before the run, where the method has any.
        agreement: share of inputs near the forget samples that original and unlearned model give the same class.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "method": method,
        "original_model": {
            "name": public_model_name(model_name),
            "revision": model_revision,
            "from_hub": not os.path.isdir(model_name),
        },
        "request": splits.request.public_dict(),
        "fingerprint": splits.fingerprint.to_dict(),
        "num_forget": len(splits.forget),
        "num_retain": len(splits.retain),
        "steps": steps,
        "stop_reason": stop_reason,
        "seconds": round(seconds, 3),
        "forget_accuracy": dict(forget_accuracy),
        "premise": None if premise is None else {**premise._asdict(), "holds": premise.holds},
        "surroundings_agreement": agreement,
        "settings": public_arguments(args),
        "versions": {
            "hf-unlearn": hf_unlearn.__version__,
            **{name: importlib.metadata.version(name) for name in ("torch", "transformers", "datasets")},
        },
    }


def write_record(record: Mapping[str, Any], folder: str, name: str) -> None:
    """Write `record` as JSON into `folder`, whole or not at all."""
    path = os.path.join(folder, name)
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(record, file, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        file.write("\n")
    os.replace(f"{path}.part", path)
