"""The settings of JiT."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import JiTParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class JiTConfig(JiTParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for JiT; its parameters: [`JiTParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("noise_deviation", self.noise_deviation > 0, "a standard deviation above 0")
        self.expect("noise_draws", self.noise_draws >= 1, "at least 1 draw")
