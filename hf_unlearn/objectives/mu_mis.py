"""The objectives: what is minimised on the forget set, given each sample's two sensitivities.

Each takes `target` and `irrelevant`, the squared sensitivities `(batch,)` of the sample's own class and of an
irrelevant class, and returns one loss a sample, `(batch,)`.
"""

from __future__ import annotations

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
