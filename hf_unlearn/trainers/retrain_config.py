"""The settings of retraining."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.fine_tune_config import FineTuneConfig
from hf_unlearn.trainers.method_parameters import RetrainParameters


@dataclass
class RetrainConfig(RetrainParameters, FineTuneConfig):
    r"""[`UnlearningConfig`] for retraining; its parameters: [`RetrainParameters`]."""
