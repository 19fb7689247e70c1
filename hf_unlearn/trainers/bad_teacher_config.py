"""The settings of Bad Teacher."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import BadTeacherParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class BadTeacherConfig(BadTeacherParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for Bad Teacher; its parameters: [`BadTeacherParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("retain_fraction", 0 < self.retain_fraction <= 1, "a share above 0, at most 1")
        self.expect("temperature", self.temperature > 0, "a number above 0")
