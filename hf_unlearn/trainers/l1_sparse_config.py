"""The settings of l1-sparse fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.fine_tune_config import FineTuneConfig
from hf_unlearn.trainers.method_parameters import L1SparseParameters


@dataclass
class L1SparseConfig(L1SparseParameters, FineTuneConfig):
    r"""[`UnlearningConfig`] for l1-sparse fine-tuning; its parameters: [`L1SparseParameters`].

    Raises:
        UnlearningError: a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("l1_weight", self.l1_weight >= 0, "0 or more")
