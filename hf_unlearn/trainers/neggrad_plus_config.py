"""The settings of NegGrad+."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.method_parameters import NegGradPlusParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class NegGradPlusConfig(NegGradPlusParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for NegGrad+; its parameters: [`NegGradPlusParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("retain_share", 0 <= self.retain_share <= 1, "0 to 1")
        self.expect(
            "per_device_train_batch_size",
            self.per_device_train_batch_size % 2 == 0,
            "an even number, half of it forget samples",
        )
