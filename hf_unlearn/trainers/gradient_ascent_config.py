"""The settings of gradient ascent (NegGrad)."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import GradientAscentParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class GradientAscentConfig(GradientAscentParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for gradient ascent (NegGrad); its parameters: [`GradientAscentParameters`]."""
