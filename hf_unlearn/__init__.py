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
    from hf_unlearn.trainers import BadTeacherConfig as BadTeacherConfig
    from hf_unlearn.trainers import BadTeacherTrainer as BadTeacherTrainer
    from hf_unlearn.trainers import BoundaryShrinkConfig as BoundaryShrinkConfig
    from hf_unlearn.trainers import BoundaryShrinkTrainer as BoundaryShrinkTrainer
    from hf_unlearn.trainers import DeleteConfig as DeleteConfig
    from hf_unlearn.trainers import DeleteTrainer as DeleteTrainer
    from hf_unlearn.trainers import FineTuneConfig as FineTuneConfig
    from hf_unlearn.trainers import FineTuneTrainer as FineTuneTrainer
    from hf_unlearn.trainers import GradientAscentConfig as GradientAscentConfig
    from hf_unlearn.trainers import GradientAscentTrainer as GradientAscentTrainer
    from hf_unlearn.trainers import JiTConfig as JiTConfig
    from hf_unlearn.trainers import JiTTrainer as JiTTrainer
    from hf_unlearn.trainers import L1SparseConfig as L1SparseConfig
    from hf_unlearn.trainers import L1SparseTrainer as L1SparseTrainer
    from hf_unlearn.trainers import MUMisConfig as MUMisConfig
    from hf_unlearn.trainers import MUMisTrainer as MUMisTrainer
    from hf_unlearn.trainers import NegGradPlusConfig as NegGradPlusConfig
    from hf_unlearn.trainers import NegGradPlusTrainer as NegGradPlusTrainer
    from hf_unlearn.trainers import RandomLabelsConfig as RandomLabelsConfig
    from hf_unlearn.trainers import RandomLabelsTrainer as RandomLabelsTrainer
    from hf_unlearn.trainers import RetrainConfig as RetrainConfig
    from hf_unlearn.trainers import RetrainTrainer as RetrainTrainer
    from hf_unlearn.trainers import SalUnConfig as SalUnConfig
    from hf_unlearn.trainers import SalUnForgetConfig as SalUnForgetConfig
    from hf_unlearn.trainers import SalUnForgetTrainer as SalUnForgetTrainer
    from hf_unlearn.trainers import SalUnTrainer as SalUnTrainer
    from hf_unlearn.trainers import ScrubConfig as ScrubConfig
    from hf_unlearn.trainers import ScrubTrainer as ScrubTrainer
    from hf_unlearn.trainers import SSDConfig as SSDConfig
    from hf_unlearn.trainers import SSDTrainer as SSDTrainer
    from hf_unlearn.trainers import UnlearningConfig as UnlearningConfig
    from hf_unlearn.trainers import UnlearningTrainer as UnlearningTrainer

_HOMES = {
    "DivergenceError": "errors",
    "UnlearningError": "errors",
    "ForgetRequest": "request",
    "UnlearningSplits": "request",
    "load_image_dataset": "request",
    "make_splits": "request",
    "BadTeacherConfig": "trainers",
    "BadTeacherTrainer": "trainers",
    "BoundaryShrinkConfig": "trainers",
    "BoundaryShrinkTrainer": "trainers",
    "DeleteConfig": "trainers",
    "DeleteTrainer": "trainers",
    "FineTuneConfig": "trainers",
    "FineTuneTrainer": "trainers",
    "GradientAscentConfig": "trainers",
    "GradientAscentTrainer": "trainers",
    "JiTConfig": "trainers",
    "JiTTrainer": "trainers",
    "L1SparseConfig": "trainers",
    "L1SparseTrainer": "trainers",
    "MUMisConfig": "trainers",
    "MUMisTrainer": "trainers",
    "NegGradPlusConfig": "trainers",
    "NegGradPlusTrainer": "trainers",
    "RandomLabelsConfig": "trainers",
    "RandomLabelsTrainer": "trainers",
    "RetrainConfig": "trainers",
    "RetrainTrainer": "trainers",
    "SSDConfig": "trainers",
    "SSDTrainer": "trainers",
    "SalUnConfig": "trainers",
    "SalUnForgetConfig": "trainers",
    "SalUnForgetTrainer": "trainers",
    "SalUnTrainer": "trainers",
    "ScrubConfig": "trainers",
    "ScrubTrainer": "trainers",
    "UnlearningConfig": "trainers",
    "UnlearningTrainer": "trainers",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
