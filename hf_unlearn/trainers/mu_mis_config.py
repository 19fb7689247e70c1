"""The settings of MU-Mis."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.objectives import OBJECTIVES, Objective
from hf_unlearn.trainers.parameters import MUMisParameters
from hf_unlearn.trainers.unlearning_config import UnlearningConfig


@dataclass
class MUMisConfig(MUMisParameters, UnlearningConfig):
    r"""[`UnlearningConfig`] for MU-Mis (arXiv 2402.15109).

    Parameters that control the objective (described in [`MUMisParameters`]): `objective`, `alpha_target`,
    `alpha_irrelevant`, `num_irrelevant_classes`, `irrelevant_cap`, `sensitivity_weight`, `guard_weight`,
    `surroundings_weight`. [`weights`] is what they come to.

    Raises:
        UnlearningError: an unknown objective, or a value outside its range.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objective not in OBJECTIVES:
            raise UnlearningError(
                f"objective {self.objective!r} is not known; {did_you_mean(self.objective, OBJECTIVES)}"
            )
        if self.num_irrelevant_classes < 0:
            raise UnlearningError(
                f"num_irrelevant_classes is {self.num_irrelevant_classes}; expected 0 (all others) or more"
            )
        if self.irrelevant_cap is not None and not self.irrelevant_cap > 0:
            raise UnlearningError(f"irrelevant_cap is {self.irrelevant_cap}; expected a factor above 0")
        if self.label_shift is not None and not self.label_shift >= 0:
            raise UnlearningError(f"label_shift is {self.label_shift}; expected 0 or more nats")
        if any(weight < 0 for weight in self.weights[1:]):
            raise UnlearningError(f"the objective has a negative weight: {self.weights[1:]}; expected 0 or more")
        if not any(self.weights[1:]):
            raise UnlearningError("all weights of the objective are 0; expected one above 0")

    @property
    def weights(self) -> Objective:
        """The objective with the weights that were set put in the place of its own."""
        own = OBJECTIVES[self.objective]
        return own._replace(
            sensitivity=own.sensitivity if self.sensitivity_weight is None else self.sensitivity_weight,
            guard=own.guard if self.guard_weight is None else self.guard_weight,
            surroundings=own.surroundings if self.surroundings_weight is None else self.surroundings_weight,
        )
