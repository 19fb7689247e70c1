"""The comparison of original, unlearned and retrained model on the splits of one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.metrics import accuracy, average_gap
from hf_unlearn.evaluation.predict import Contestant, predict_logits
from hf_unlearn.models.pixels import PixelDataset, try_forward
from hf_unlearn.models.pretrained import public_model_name
from hf_unlearn.request import UnlearningSplits

SCHEMA_VERSION = 1
ROLES = ("original", "unlearned", "retrained")


def compare(
    contestants: Mapping[str, Contestant],
    splits: UnlearningSplits,
    *,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
) -> dict[str, Any]:
    """Figures of each model on the forget, retain and test set.

    Args:
        contestants: by role: `original`, `unlearned`, `retrained`, as many as there are.
        splits: of the request.

    Returns:
        What `results.json` holds: `schema_version`, `request`, `fingerprint`, `models`. A model's figures are in
        percent; those that need a test set, or forgotten rows in it, are None where there are none, and
        `average_gap` is None without a retrained model.

    Raises:
        UnlearningError: a role that is none, or labels that do not match the dataset's.
    """
    for role in contestants:
        if role not in ROLES:
            raise UnlearningError(f"role {role!r} is not one of {', '.join(ROLES)}")
    logits: dict[str, dict[str, np.ndarray]] = {role: {} for role in contestants}
    labels: dict[str, dict[str, np.ndarray]] = {role: {} for role in contestants}
    datasets = {"forget": splits.forget, "retain": splits.retain, "test": splits.test}
    for name, dataset in datasets.items():
        if dataset is None:
            continue
        for roles in _alike(contestants):
            first = contestants[roles[0]]
            columns = (splits.image_column, splits.label_column, splits.label_names)
            pixels = PixelDataset.for_model(dataset, first.model.config, first.image_processor, *columns)
            models = {role: contestants[role].model for role in roles}
            for model in models.values():
                try_forward(model, pixels)
            predicted = predict_logits(models, pixels, batch_size, device, f"Evaluating on the {name} set")
            for role in roles:
                if not np.isfinite(predicted[role]).all():
                    raise UnlearningError(f"the {role} model gives logits that are not finite on the {name} set")
                logits[role][name] = predicted[role]
                labels[role][name] = pixels.labels.numpy()
    models_figures: dict[str, dict[str, Any]] = {}
    for role in (role for role in ROLES if role in contestants):
        figures = split_figures(logits[role], labels[role], splits.test_forgotten)
        models_figures[role] = {"name": public_model_name(contestants[role].name), **figures}
    retrained = models_figures.get("retrained")
    for figures in models_figures.values():
        figures["average_gap"] = average_gap(figures, retrained) if retrained is not None else None
    return {
        "schema_version": SCHEMA_VERSION,
        "request": splits.request.public_dict(),
        "fingerprint": splits.fingerprint.id,
        "counts": {name: len(dataset) for name, dataset in datasets.items() if dataset is not None},
        "models": models_figures,
    }


def split_figures(
    logits: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], test_forgotten: np.ndarray | None
) -> dict[str, float | None]:
    """The accuracies of one model, from its logits and labels by split name (`forget`, `retain`, `test`)."""
    figures: dict[str, float | None] = {
        "forget_accuracy": accuracy(logits["forget"], labels["forget"]),
        "retain_accuracy": accuracy(logits["retain"], labels["retain"]),
        "test_accuracy": None,
        "test_accuracy_remaining": None,
        "test_accuracy_forgotten": None,
    }
    if "test" in logits and test_forgotten is not None:
        figures["test_accuracy"] = accuracy(logits["test"], labels["test"])
        figures["test_accuracy_remaining"] = accuracy(logits["test"], labels["test"], ~test_forgotten)
        figures["test_accuracy_forgotten"] = accuracy(logits["test"], labels["test"], test_forgotten)
    return figures


def _alike(contestants: Mapping[str, Contestant]) -> list[list[str]]:
    """Roles grouped by what their models are given: the same image processing, channels and class ids."""
    groups: dict[str, list[str]] = {}
    for role, contestant in contestants.items():
        config = contestant.model.config
        processing = sorted(contestant.image_processor.to_dict().items(), key=str)
        seen = repr((processing, getattr(config, "num_channels", 3), sorted((config.label2id or {}).items())))
        groups.setdefault(seen, []).append(role)
    return list(groups.values())
