"""What is minimised of the forget samples' sensitivities.

`target` and `irrelevant` are the squared sensitivities `(batch,)` of each sample's own class and of an irrelevant
class; the loss is one value a sample, `(batch,)`.
"""

from __future__ import annotations

import math

import torch


def difference_loss(
    target: torch.Tensor, irrelevant: torch.Tensor, alpha_target: float = 1.0, alpha_irrelevant: float = 1.0
) -> torch.Tensor:
    """α_c ‖∇ₓ f_c‖² − α_c' ‖∇ₓ f_c'‖²: MU-Mis as published (arXiv 2402.15109, Eq. 3; the weights: App. F.4).

    Not bounded below: its step must be bounded and its run stopped.
    """
    return alpha_target * target - alpha_irrelevant * irrelevant


def log_ratio_loss(
    target: torch.Tensor, irrelevant: torch.Tensor, alpha_target: float = 1.0, alpha_irrelevant: float = 1.0
) -> torch.Tensor:
    """α_c log ‖∇ₓ f_c‖² − α_c' log ‖∇ₓ f_c'‖²: the *relative* magnitude of the two sensitivities.

    With equal weights it depends on neither the logits' nor the input's scale, and its gradient does not grow
    with the sensitivities. A variant of this library's, not of the paper.
    """
    # A logit that does not depend on the input at all has nothing to lower: the smallest normal number keeps
    # the logarithm finite there without touching any sensitivity that a network really has.
    floor = torch.finfo(target.dtype).tiny
    return alpha_target * target.clamp_min(floor).log() - alpha_irrelevant * irrelevant.clamp_min(floor).log()


def matched_loss(target: torch.Tensor, level: float) -> torch.Tensor:
    """(log ‖∇ₓ f_c‖² − log level)²: bring the target's sensitivity to a level, from above or from below.

    With the level that irrelevant classes have in the original model, this is where the log ratio leads in a model
    that holds the premise of MU-Mis, and where it stops; it is bounded below. In a model that does not, it leads up.
    A variant of this library's, not of the paper.

    Args:
        level: squared sensitivity, above 0.

    Raises:
        ValueError: a level that is not above 0.
    """
    if not level > 0:
        raise ValueError(f"level is {level}; expected a squared sensitivity above 0")
    return (target.clamp_min(torch.finfo(target.dtype).tiny).log() - math.log(level)).square()
