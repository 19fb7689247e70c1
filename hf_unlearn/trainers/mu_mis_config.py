"""The settings of MU-Mis."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.objectives import OBJECTIVES
from hf_unlearn.trainers.parameters import MUMisParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class MUMisConfig(MUMisParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for MU-Mis (arXiv 2402.15109).

    Parameters that control the objective (described in [`MUMisParameters`]): `objective`, `alpha_target`,
    `alpha_irrelevant`.

    Raises:
        UnlearningError: an unknown objective, or a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise UnlearningError(
                f"objective {self.objective!r} is not known; {did_you_mean(self.objective, OBJECTIVES)}"
            )
