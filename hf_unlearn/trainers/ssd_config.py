"""The settings of SSD."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import SSDParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class SSDConfig(SSDParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for SSD; its parameters: [`SSDParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("max_steps", self.max_steps == 1, "1, since all weights are dampened at once")
        self.expect("stop_rule", self.stop_rule == "steps", "'steps', since there is one")
        self.expect("alpha", self.alpha >= 0, "0 or more")
        self.expect("dampening", self.dampening >= 0, "0 or more")
        self.expect("importance_batch_size", self.importance_batch_size >= 1, "at least 1 sample")
