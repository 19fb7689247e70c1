"""The objectives by name: what is done with the sensitivities, and how much of each guard term."""

from __future__ import annotations

from typing import NamedTuple


class Objective(NamedTuple):
    """L = `sensitivity` · s + `guard` · KL(q ‖ p) + `surroundings` · KL(q̃ ‖ p̃) + `features` · (d + d̃).

    s is the loss of the sensitivities that `term` names (`difference_loss`, `log_ratio_loss`, `matched_loss`). q is
    what the original says of a forget sample with the own logit lowered, p what the model says now (see
    [`shifted_divergence`]). q̃ and p̃ are the same of an input near the sample (see [`Surroundings`]). d is the squared
    distance of the sample's features to those of an unfamiliar input, d̃ that of the near input's to its own under the
    original (see [`UnfamiliarBank`]); where they count, q is what the original says of that unfamiliar input.
    """

    term: str
    sensitivity: float
    guard: float
    surroundings: float
    features: float = 0.0


OBJECTIVES = {
    "matched": Objective("matched", sensitivity=0.1, guard=1.0, surroundings=1.0, features=5.0),
    "anchored": Objective("log_ratio", sensitivity=0.1, guard=1.0, surroundings=1.0),
    "difference": Objective("difference", sensitivity=1.0, guard=0.0, surroundings=0.0),
    "log_ratio": Objective("log_ratio", sensitivity=1.0, guard=0.0, surroundings=0.0),
}
