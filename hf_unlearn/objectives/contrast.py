"""Losses on how the features of a batch lie to each other: dispersion (Spotter), supervised contrast (COLA)."""

from __future__ import annotations

import torch


def dispersion(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean cosine of the features of two samples of one class (Spotter's dispersion, arXiv 2506.01318), shared out.

    Args:
        features: `(batch, width)`.
        labels: integer `(batch,)`.

    Returns:
        `(batch,)`, whose mean is the mean cosine over all ordered pairs of different samples of one class; 0 where
        there is no such pair.
    """
    wide = torch.nn.functional.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=1)
    pairs = _same_class(labels)
    cosines = (wide @ wide.T).masked_fill(~pairs, 0.0).sum(1)
    return cosines * len(labels) / pairs.sum().clamp_min(1)


def supervised_contrast(features: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """−1/|P(i)| Σ_{p ∈ P(i)} log( exp(zᵢ·z_p/τ) / Σ_{a ≠ i} exp(zᵢ·z_a/τ) ), a sample i (arXiv 2004.11362, Eq. 2).

    z are the features at length 1, P(i) the other samples of i's class in the batch.

    Args:
        features: `(batch, width)`.
        labels: integer `(batch,)`.
        temperature: τ, above 0.

    Returns:
        `(batch,)`, in nats; 0 for a sample that is alone of its class.
    """
    wide = torch.nn.functional.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    shares = (wide @ wide.T / temperature).masked_fill(itself, -torch.inf).log_softmax(1)
    pairs = _same_class(labels)
    return -shares.masked_fill(~pairs, 0.0).sum(1) / pairs.sum(1).clamp_min(1)


def _same_class(labels: torch.Tensor) -> torch.Tensor:
    """Which pairs are of different samples of one class, boolean `(batch, batch)`."""
    pairs = labels.unsqueeze(1) == labels.unsqueeze(0)
    return pairs.fill_diagonal_(False)
