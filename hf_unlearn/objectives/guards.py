"""The guard: what keeps the rest of the model while the forget samples go, without any retained data."""

from __future__ import annotations

import math

import torch


def shifted_divergence(
    logits: torch.Tensor, original_logits: torch.Tensor, lowered: torch.Tensor, shift: float | torch.Tensor
) -> torch.Tensor:
    """KL(q ‖ p): q what the original said with some logits lowered by `shift`, p what the model says now.

    A model that never saw the samples says of them nearly what the original says, but is less sure of their label: its
    log-odds of the label lie lower, by as much as it remembered of the sample. For a whole class that amount is
    infinite (no other sample teaches the label): then q is the original's distribution over the other classes, and this
    is the masked distillation of DELETE (arXiv 2503.23751).

    A sensitivity has no level, so a model whose logits are flat around a sample can still be sure of its class: this
    term is what brings the level down, no further than to q.

    Args:
        logits: of the model now, `(batch, num_labels)`.
        original_logits: of the original model on the same inputs, `(batch, num_labels)`.
        lowered: which logits, boolean `(batch, num_labels)`, not all of a sample: its own class, and with it every
            other class that is to go.
        shift: in nats, 0 or more, `math.inf` for whole classes; one number, or one a sample `(batch,)`.

    Returns:
        `(batch,)`, in nats, at least 0.

    Raises:
        ValueError: a negative shift.
    """
    shift = torch.as_tensor(shift)
    if not (shift >= 0).all():
        raise ValueError(f"shift is {float(shift.min())}; expected 0 or more nats")
    wide = torch.promote_types(logits.dtype, torch.float32)
    original = original_logits.detach().to(wide)
    by = shift.to(original).reshape(-1, 1)
    target = torch.where(lowered, original - by, original).log_softmax(1)
    # Where q is 0 its logarithm is −inf, and the product has no share in the sum.
    difference = (target - logits.to(wide).log_softmax(1)).masked_fill(target == -math.inf, 0.0)
    return (target.exp() * difference).sum(1)
