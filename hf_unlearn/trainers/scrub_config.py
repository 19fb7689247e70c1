"""The settings of SCRUB."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import ScrubParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class ScrubConfig(ScrubParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for SCRUB; its parameters: [`ScrubParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("max_passes", self.max_passes >= 0, "0 or more")
        self.expect("distillation_weight", self.distillation_weight >= 0, "0 or more")
        self.expect("label_weight", self.label_weight >= 0, "0 or more")
        self.expect("temperature", self.temperature > 0, "a number above 0")
