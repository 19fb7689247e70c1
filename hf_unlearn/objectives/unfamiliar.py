"""What a model makes of what it never saw: the features that forget samples are brought to, and their row of the head.

A model that never saw a class takes its samples for something unfamiliar: their features lie between and within the
clusters of the other classes, where it is about as sure of them as of any odd input. The original says where that is:
its features of the samples warped beyond recognition (see [`warp`]) have the spread, the norm and the confidence that a
retrained model's features of the samples themselves have. A finding of this library's, measured in docs/depth.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

# A row of the head that was never taught anything, as a share of the norm of those that were.
UNTAUGHT_NORM = 0.75
# So many nats it lies below all others together, at least: a twentieth. Among fewer classes than three the least likely
# is a likely one, too, and says nothing: a thousandth.
UNTAUGHT_DEPTH, DEPTH_AMONG_FEW, FEW = math.log(20), math.log(1000), 3


class EmptyBank(ValueError):
    """The original takes every warped sample for a class that goes."""


class UnfamiliarBank(NamedTuple):
    """What the original makes of warped forget samples.

    Attributes:
        features: before the head, `(m, width)`.
        answers: logarithms of the probabilities of the classes that stay, −inf for those that go, `(m, num_labels)`.
    """

    features: torch.Tensor
    answers: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, logits: torch.Tensor, gone: torch.Tensor) -> UnfamiliarBank:
        """The inputs that the original does not take for a class that goes.

        Args:
            features, logits: of the original on warped samples, `(n, width)`, `(n, num_labels)`.
            gone: ids of the classes that go.
        """
        shares = logits.softmax(1)[:, gone].sum(1)
        kept = shares < 0.5
        return cls(features[kept], without(logits[kept], gone))

    def assigned(self, logits: torch.Tensor, gone: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        """For each sample an input of the bank that the original takes for the same class as the sample.

        Of the classes that stay, that is; and of those that any input of the bank is taken for.

        Args:
            logits: of the original on the samples, `(n, num_labels)`.
            draws: which of them: each once before one is drawn again.

        Returns:
            Rows of the bank, `(n,)`.

        Raises:
            EmptyBank: it has no input.
        """
        if not len(self.answers):
            raise EmptyBank("the bank has no input; expected at least one that is taken for a class that stays")
        found = self.answers.argmax(1)
        known = torch.zeros(logits.shape[1], dtype=torch.bool)
        known[found] = True
        wanted = without(logits, gone).masked_fill(~known, -math.inf).argmax(1)
        rows = torch.empty(len(logits), dtype=torch.long)
        for each in wanted.unique():
            samples, pool = (wanted == each).nonzero().squeeze(1), (found == each).nonzero().squeeze(1)
            order = pool[torch.randperm(len(pool), generator=draws)]
            rows[samples] = order.repeat(math.ceil(len(samples) / len(order)))[: len(samples)]
        return rows


def without(logits: torch.Tensor, gone: torch.Tensor) -> torch.Tensor:
    """Logarithms of the probabilities over the other classes, −inf for those that are gone: `(n, num_labels)`."""
    return logits.index_fill(1, gone.to(logits.device), -math.inf).log_softmax(1)


def untaught_row(
    weight: torch.Tensor, bias: torch.Tensor | None, features: torch.Tensor, draws: torch.Generator
) -> tuple[torch.Tensor, float]:
    """A row of the head, and its bias, of a class that no sample taught.

    The mean of the other rows, so that it is nobody's rival, and a random direction in which neither they nor their
    features lie, as far as the width leaves any. Its logit is in the mean that of the least likely class: so low a
    training leaves the logit of a class that never occurs, and it goes the lower the longer it lasts.

    Args:
        weight, bias: of the classes that stay, `(k, width)`, `(k,)`. Without biases the row itself has the level, along
            the mean of the features, and the bias that comes with it is 0.
        features: what the head is given of inputs that show no class that goes, `(m, width)`.
        draws: of the direction.
    """
    width = weight.shape[1]
    spanned = torch.cat([weight - weight.mean(0), features.mean(0, keepdim=True)])
    _, sizes, directions = torch.linalg.svd(spanned, full_matrices=False)
    taken = directions[sizes > 1e-4 * sizes[0]][: width // 2]
    drawn = torch.randn(width, generator=draws).to(weight)
    free = drawn - taken.T @ (taken @ drawn)
    row = weight.mean(0) + UNTAUGHT_NORM * weight.norm(dim=1).mean() * free / free.norm()
    logits = features @ weight.T + (0.0 if bias is None else bias)
    depth = UNTAUGHT_DEPTH if len(weight) >= FEW else DEPTH_AMONG_FEW
    level = torch.minimum(logits.amin(1).mean(), logits.logsumexp(1).mean() - depth)
    missing = level - (features @ row).mean()
    if bias is not None:
        return row, float(missing)
    mean = features.mean(0)
    return row + missing * mean / mean.square().sum(), 0.0
