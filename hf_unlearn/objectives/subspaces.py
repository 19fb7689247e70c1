"""Erasing directions of features: ESC and ESC-T (arXiv 2504.02199)."""

from __future__ import annotations

import torch
from torch.nn import functional


def principal_directions(features: torch.Tensor) -> torch.Tensor:
    """U of the singular value decomposition F = U Σ Vᵀ of features with the samples as columns, by falling σ.

    Args:
        features: `(samples, width)`.

    Returns:
        Orthonormal columns `(width, width)`: where there are fewer samples than that, the last span what no sample has.
    """
    # With full matrices V is samples x samples. Only where samples are fewer than the width does U gain by it.
    return torch.linalg.svd(features.T.double(), full_matrices=len(features) < features.shape[1])[0]


def without_leading(directions: torch.Tensor, leading: int) -> torch.Tensor:
    """P = U_p U_pᵀ, with U_p the directions but the leading ones (ESC, arXiv 2504.02199).

    Args:
        directions: U, orthonormal columns `(width, width)`.
        leading: how many directions are erased.

    Returns:
        `(width, width)`, symmetric and idempotent.
    """
    kept = directions[:, leading:]
    return kept @ kept.T


def masked_projection(directions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """P = (U ⊙ M)(U ⊙ M)ᵀ (ESC-T, arXiv 2504.02199).

    Args:
        directions: U, `(width, width)`.
        mask: M, of the same shape, 0 to 1.

    Returns:
        `(width, width)`, symmetric; what of the features stays.
    """
    kept = directions * mask
    return kept @ kept.T


def learned_mask(
    directions: torch.Tensor,
    features: torch.Tensor,
    labels: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    passes: int,
    rate: float,
    batch_size: int,
    generator: torch.Generator,
) -> tuple[torch.Tensor, int]:
    """M of ESC-T before its threshold: plain gradient ascent on the cross-entropy of forget samples (arXiv 2504.02199).

    Only samples that are still classified as labelled count; M starts at 1 and is clamped to [0, 1]. It ends early once
    no sample is classified as labelled.

    Args:
        directions: U, `(width, width)`.
        features, labels: of the forget set before the head, `(samples, width)` and `(samples,)`.
        weight, bias: of the head, `(num_labels, width)` and `(num_labels,)`.
        passes: at most so many over the forget set.
        rate: length of a step, times the gradient.
        batch_size: samples of a step.
        generator: of their order.

    Returns:
        M, shaped as U, and how many passes were made.
    """
    features, weight = features.to(directions), weight.to(directions)
    bias = None if bias is None else bias.to(directions)
    mask = torch.ones_like(directions)
    for done in range(passes):
        if not (_answers(directions, mask, features, weight, bias).argmax(1) == labels).any():
            return mask, done
        for rows in torch.randperm(len(labels), generator=generator).split(batch_size):
            with torch.enable_grad():
                moving = mask.clone().requires_grad_()
                logits = _answers(directions, moving, features[rows], weight, bias)
                known = logits.argmax(1) == labels[rows]
                if not known.any():
                    continue
                loss = -functional.cross_entropy(logits[known], labels[rows][known])
                (gradient,) = torch.autograd.grad(loss, moving)
            mask = (mask - rate * gradient).clamp(0, 1)
    return mask, passes


def _answers(
    directions: torch.Tensor,
    mask: torch.Tensor,
    features: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    return functional.linear(features @ masked_projection(directions, mask), weight, bias)
