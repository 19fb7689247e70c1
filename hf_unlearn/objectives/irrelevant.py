"""Irrelevant classes of each sample: any but its own, drawn uniformly, anew each time."""

from __future__ import annotations

import torch

from hf_unlearn.objectives.draws import PassDraws


def draw_irrelevant_classes(
    labels: torch.Tensor, num_labels: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """One class c' ≠ c a sample, uniform over the other `num_labels − 1` classes.

    Args:
        labels: integer tensor `(batch,)`, each in `[0, num_labels)`.
        num_labels: number of classes of the model, at least 2.
        generator: source of randomness, on the CPU.

    Returns:
        Integer tensor `(batch,)` on the device of `labels`.

    Raises:
        ValueError: fewer than two classes: there is no irrelevant one.
    """
    _check(num_labels)
    shift = torch.randint(1, num_labels, labels.shape, generator=generator).to(labels.device)
    return (labels + shift) % num_labels


class IrrelevantClassSampler:
    """Irrelevant classes tied to the sample and the pass over the forget set (see [`PassDraws`]).

    Args:
        num_samples: size of the forget set.
        num_labels: number of classes of the model, at least 2.
        seed: of the draws.
        count: irrelevant classes a sample, from 1 (as in the paper) to `num_labels − 1` (all).

    Raises:
        ValueError: fewer than two classes, or a count out of range.
    """

    def __init__(self, num_samples: int, num_labels: int, seed: int, count: int = 1):
        _check(num_labels)
        if not 1 <= count < num_labels:
            raise ValueError(f"{count} irrelevant classes of {num_labels} labels; expected 1 to {num_labels - 1}")
        self.num_labels = num_labels

        def draw(generator: torch.Generator) -> torch.Tensor:
            if count == 1:
                return torch.randint(1, num_labels, (num_samples, 1), generator=generator)
            return 1 + torch.rand(num_samples, num_labels - 1, generator=generator).argsort(1)[:, :count]

        self._shifts = PassDraws(draw, seed)

    def draw(self, labels: torch.Tensor, indices: torch.Tensor, pass_number: int) -> torch.Tensor:
        """c' of the samples at `indices` (their positions in the forget set) in pass `pass_number`.

        Returns:
            Integer tensor `(count, batch)`; the classes of one sample differ.
        """
        shifts = self._shifts.of(indices, pass_number).to(labels.device)
        return (labels.unsqueeze(1) + shifts).T % self.num_labels


def _check(num_labels: int) -> None:
    if num_labels < 2:
        raise ValueError(f"a model with {num_labels} label has no irrelevant class; expected at least 2 labels")
