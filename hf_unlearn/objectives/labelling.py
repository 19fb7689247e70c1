"""Cross-entropy with labels that are the sample's own, or others put in their place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from hf_unlearn.objectives.irrelevant import IrrelevantClassSampler


def label_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy −log p_y a sample.

    Args:
        logits: `(batch, num_labels)`.
        labels: integer `(batch,)`.

    Returns:
        `(batch,)`, in nats, float32 at least.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    return functional.cross_entropy(logits.to(wide), labels, reduction="none")


def log_odds(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log p_y / (1 − p_y) a sample: its own logit less the logsumexp of the others.

    Args:
        logits: `(batch, num_labels)`.
        labels: integer `(batch,)`.

    Returns:
        `(batch,)`, in nats, in the dtype of `logits`.
    """
    own = labels.unsqueeze(1)
    return logits.gather(1, own).squeeze(1) - logits.scatter(1, own, float("-inf")).logsumexp(1)


class RandomLabels:
    """One wrong label for each forget sample, drawn uniformly over the other classes, the same in all passes.

    Args:
        num_samples: size of the forget set.
        num_labels: number of classes of the model, at least 2.
        seed: of the draws.
    """

    def __init__(self, num_samples: int, num_labels: int, seed: int):
        self._draws = IrrelevantClassSampler(num_samples, num_labels, seed)

    def of(self, labels: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """The wrong labels `(batch,)` of the samples at `indices` in the forget set, whose own labels are `labels`."""
        return self._draws.draw(labels, indices, pass_number=0)[0]


def nearest_other_class(
    answer: Callable[[torch.Tensor], torch.Tensor], pixel_values: torch.Tensor, labels: torch.Tensor, bound: float
) -> torch.Tensor:
    """The class, other than the own one, that lies nearest across the decision boundary (arXiv 2303.11570).

    One FGSM step x' = x + ε · sign(∇ₓ CE(f(x), y)); the class is the likeliest at x' but y.

    Args:
        answer: f, from inputs `(batch, ...)` to logits `(batch, num_labels)`; no layer of it may mix samples.
        pixel_values: x.
        labels: y, integer `(batch,)`.
        bound: ε, in units of `pixel_values`.

    Returns:
        Integer `(batch,)`.
    """
    with torch.enable_grad():
        inputs = pixel_values.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(label_loss(answer(inputs), labels).sum(), inputs)
    with torch.no_grad():
        moved = answer(pixel_values + bound * gradient.sign())
    return moved.scatter(1, labels.unsqueeze(1), float("-inf")).argmax(1)
