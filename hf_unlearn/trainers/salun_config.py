"""The settings of SalUn."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import SalUnParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class SalUnConfig(SalUnParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for SalUn; its parameters: [`SalUnParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("salient_share", 0 < self.salient_share <= 1, "a share above 0, at most 1")
