"""The settings of fine-tuning on the retain set."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import FineTuneParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class FineTuneConfig(FineTuneParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for fine-tuning on the retain set; its parameters: [`FineTuneParameters`]."""
