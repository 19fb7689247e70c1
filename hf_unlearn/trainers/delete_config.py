"""The settings of DELETE."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import DeleteParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class DeleteConfig(DeleteParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for DELETE; its parameters: [`DeleteParameters`]."""
