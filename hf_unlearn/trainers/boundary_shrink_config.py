"""The settings of boundary shrink."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import BoundaryShrinkParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class BoundaryShrinkConfig(BoundaryShrinkParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for boundary shrink; its parameters: [`BoundaryShrinkParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("fgsm_bound", self.fgsm_bound > 0, "a length above 0")
