"""The settings of random labels."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import RandomLabelsParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class RandomLabelsConfig(RandomLabelsParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for random labels; its parameters: [`RandomLabelsParameters`]."""
