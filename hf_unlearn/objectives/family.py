"""The objectives by name: which sensitivity loss, and how much of each guard term."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from hf_unlearn.objectives.mu_mis import difference_loss, log_ratio_loss


class Objective(NamedTuple):
    """L = `sensitivity` · s(target, irrelevant) + `guard` · KL(q ‖ p) + `surroundings` · KL(q̃ ‖ p̃).

    s is `sensitivity_loss`. q is the original's distribution over the other classes on a forget sample, p the current
    one over all classes: their divergence is `level_loss` + `anchor_loss`. q̃ and p̃ are the same on an input near the
    sample (see [`Surroundings`]).
    """

    sensitivity_loss: Callable[..., torch.Tensor]
    sensitivity: float
    guard: float
    surroundings: float


OBJECTIVES = {
    "anchored": Objective(log_ratio_loss, sensitivity=0.1, guard=1.0, surroundings=1.0),
    "difference": Objective(difference_loss, sensitivity=1.0, guard=0.0, surroundings=0.0),
    "log_ratio": Objective(log_ratio_loss, sensitivity=1.0, guard=0.0, surroundings=0.0),
}
