"""Guard terms: what keeps the rest of the model while the forget samples go, without any retained data.

Each takes the current logits on some inputs and the original model's logits on the same inputs, and returns one value
a sample, `(batch,)`, in nats. `labels` are the samples' own classes, `(batch,)`.
"""

from __future__ import annotations

import torch


def level_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """−log(1 − p_c): how far the sample's own class is from being ruled out.

    A sensitivity has no level: a model whose logits are flat around a sample can still be sure of its class. This
    term is what lowers the logit itself. It is at least 0, and its gradient fades as p_c does.
    """
    return logits.logsumexp(1) - _without_own(logits, labels).logsumexp(1)


def anchor_loss(logits: torch.Tensor, original_logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """KL(q ‖ r): q and r the original's and the current distribution over the *other* classes.

    The sample's own class is masked out of both and the rest renormalised. `level_loss` + `anchor_loss` is
    KL(q ‖ p) with p over all classes, the masked distillation of DELETE (arXiv 2503.23751).
    """
    original = _without_own(original_logits.detach(), labels).log_softmax(1)
    current = _without_own(logits, labels).log_softmax(1)
    # The masked class is −inf in both: it has no share in the sum.
    difference = (original - current).masked_fill(~torch.isfinite(original), 0.0)
    return (original.exp() * difference).sum(1)


def _without_own(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return wide.scatter(1, labels.unsqueeze(1), float("-inf"))
