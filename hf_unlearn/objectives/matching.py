"""Held-out samples at the side of others: one of the same class for each."""

from __future__ import annotations

import torch


def matched_rows(labels: torch.Tensor, held_labels: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """For each sample a held-out one of its class, so that both have the same histogram of classes.

    Where there is none of its class, any held-out one (as the authors of ReGUn do, arXiv 2603.11210).

    Args:
        labels: of the samples, `(batch,)`.
        held_labels: of the held-out samples, `(m,)`, at least one.
        uniform: draws from [0, 1), `(batch,)`.

    Returns:
        Positions among the held-out samples, `(batch,)`.
    """
    size = len(held_labels)
    order = held_labels.argsort(stable=True)
    counts = held_labels.bincount(minlength=int(labels.max()) + 1)
    mine = counts[labels]
    starts = (counts.cumsum(0) - counts)[labels]
    found = torch.where(mine > 0, starts + _scaled(uniform, mine), _scaled(uniform, torch.full_like(mine, size)))
    return order[found]


def _scaled(uniform: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Whole numbers from 0 to `sizes` − 1, whatever the rounding of a draw."""
    return (uniform.double() * sizes).long().minimum(sizes - 1).clamp(min=0)
