"""Unlearning methods as `transformers.Trainer`s: one config and one trainer each. Imported lazily."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_unlearn.trainers.mu_mis_config import MUMisConfig as MUMisConfig
    from hf_unlearn.trainers.mu_mis_trainer import MUMisTrainer as MUMisTrainer
    from hf_unlearn.trainers.unlearning_config import UnlearningConfig as UnlearningConfig
    from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer as UnlearningTrainer

_HOMES = {
    "MUMisConfig": "mu_mis_config",
    "MUMisTrainer": "mu_mis_trainer",
    "UnlearningConfig": "unlearning_config",
    "UnlearningTrainer": "unlearning_trainer",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
