"""Unlearning methods as `transformers.Trainer`s: one config and one trainer each, imported lazily.

`base/` is what every method builds on, `safety/` what is checked before, during and after a run, `methods/` has a file
a method, and `registry.py` is the only list of them.
"""

from __future__ import annotations

import importlib
from typing import Any

from hf_unlearn.trainers.registry import METHODS

_HOMES = {
    **{method.config: method.module for method in METHODS.values()},
    **{method.trainer: method.module for method in METHODS.values()},
    "UnlearningConfig": "hf_unlearn.trainers.base.config",
    "UnlearningTrainer": "hf_unlearn.trainers.base.trainer",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
