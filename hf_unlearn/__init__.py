"""Make an image classifier on the Hugging Face Hub forget: MU-Mis (arXiv 2402.15109) as a `transformers.Trainer`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hf_unlearn.errors import DivergenceError as DivergenceError
    from hf_unlearn.errors import UnlearningError as UnlearningError
    from hf_unlearn.request import ForgetRequest as ForgetRequest
    from hf_unlearn.request import UnlearningSplits as UnlearningSplits
    from hf_unlearn.request import load_image_dataset as load_image_dataset
    from hf_unlearn.request import make_splits as make_splits
    from hf_unlearn.trainers import MUMisConfig as MUMisConfig
    from hf_unlearn.trainers import MUMisTrainer as MUMisTrainer
    from hf_unlearn.trainers import UnlearningConfig as UnlearningConfig
    from hf_unlearn.trainers import UnlearningTrainer as UnlearningTrainer

_HOMES = {
    "DivergenceError": "errors",
    "UnlearningError": "errors",
    "ForgetRequest": "request",
    "UnlearningSplits": "request",
    "load_image_dataset": "request",
    "make_splits": "request",
    "MUMisConfig": "trainers",
    "MUMisTrainer": "trainers",
    "UnlearningConfig": "trainers",
    "UnlearningTrainer": "trainers",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
