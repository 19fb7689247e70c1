"""Unlearning methods as `transformers.Trainer`s: one config and one trainer each. Imported lazily."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hf_unlearn.trainers.registry import METHODS

if TYPE_CHECKING:
    from hf_unlearn.trainers.bad_teacher_config import BadTeacherConfig as BadTeacherConfig
    from hf_unlearn.trainers.bad_teacher_trainer import BadTeacherTrainer as BadTeacherTrainer
    from hf_unlearn.trainers.boundary_shrink_config import BoundaryShrinkConfig as BoundaryShrinkConfig
    from hf_unlearn.trainers.boundary_shrink_trainer import BoundaryShrinkTrainer as BoundaryShrinkTrainer
    from hf_unlearn.trainers.delete_config import DeleteConfig as DeleteConfig
    from hf_unlearn.trainers.delete_trainer import DeleteTrainer as DeleteTrainer
    from hf_unlearn.trainers.fine_tune_config import FineTuneConfig as FineTuneConfig
    from hf_unlearn.trainers.fine_tune_trainer import FineTuneTrainer as FineTuneTrainer
    from hf_unlearn.trainers.gradient_ascent_config import GradientAscentConfig as GradientAscentConfig
    from hf_unlearn.trainers.gradient_ascent_trainer import GradientAscentTrainer as GradientAscentTrainer
    from hf_unlearn.trainers.jit_config import JiTConfig as JiTConfig
    from hf_unlearn.trainers.jit_trainer import JiTTrainer as JiTTrainer
    from hf_unlearn.trainers.l1_sparse_config import L1SparseConfig as L1SparseConfig
    from hf_unlearn.trainers.l1_sparse_trainer import L1SparseTrainer as L1SparseTrainer
    from hf_unlearn.trainers.mu_mis_config import MUMisConfig as MUMisConfig
    from hf_unlearn.trainers.mu_mis_trainer import MUMisTrainer as MUMisTrainer
    from hf_unlearn.trainers.neggrad_plus_config import NegGradPlusConfig as NegGradPlusConfig
    from hf_unlearn.trainers.neggrad_plus_trainer import NegGradPlusTrainer as NegGradPlusTrainer
    from hf_unlearn.trainers.random_labels_config import RandomLabelsConfig as RandomLabelsConfig
    from hf_unlearn.trainers.random_labels_trainer import RandomLabelsTrainer as RandomLabelsTrainer
    from hf_unlearn.trainers.retrain_config import RetrainConfig as RetrainConfig
    from hf_unlearn.trainers.retrain_trainer import RetrainTrainer as RetrainTrainer
    from hf_unlearn.trainers.salun_config import SalUnConfig as SalUnConfig
    from hf_unlearn.trainers.salun_forget_config import SalUnForgetConfig as SalUnForgetConfig
    from hf_unlearn.trainers.salun_forget_trainer import SalUnForgetTrainer as SalUnForgetTrainer
    from hf_unlearn.trainers.salun_trainer import SalUnTrainer as SalUnTrainer
    from hf_unlearn.trainers.scrub_config import ScrubConfig as ScrubConfig
    from hf_unlearn.trainers.scrub_trainer import ScrubTrainer as ScrubTrainer
    from hf_unlearn.trainers.ssd_config import SSDConfig as SSDConfig
    from hf_unlearn.trainers.ssd_trainer import SSDTrainer as SSDTrainer
    from hf_unlearn.trainers.unlearning_config import UnlearningConfig as UnlearningConfig
    from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer as UnlearningTrainer

_HOMES = {
    **{method.config: f"{name}_config" for name, method in METHODS.items()},
    **{method.trainer: f"{name}_trainer" for name, method in METHODS.items()},
    "UnlearningConfig": "unlearning_config",
    "UnlearningTrainer": "unlearning_trainer",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
