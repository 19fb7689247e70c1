"""Whether the premise of MU-Mis holds for a model: measured before the first step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from hf_unlearn.objectives import double_backward, squared_input_sensitivities
from hf_unlearn.trainers.safety.samples import Sample, chunk_size


class Premise(NamedTuple):
    """Mean squared sensitivities of the original model on forget samples, before the first step.

    MU-Mis supposes that training enlarged the target's above the irrelevant classes'. In some models, small ViTs among
    them, it did not, and lowering the sensitivities alone then leads away from forgetting.

    Attributes:
        target: of the samples' own class.
        irrelevant: of the other classes.
        unlikely: of those other classes that the model thinks least likely, half of them.
    """

    target: float
    irrelevant: float
    unlikely: float

    @property
    def holds(self) -> bool:
        """Whether the target's is above the irrelevant classes'."""
        return self.target > self.irrelevant

    def __str__(self) -> str:
        verdict = "the premise holds" if self.holds else "the premise of MU-Mis fails here"
        return f"target sensitivity {self.target:.3g}, irrelevant {self.irrelevant:.3g}: {verdict}"


def measure_premise(
    model: nn.Module,
    sample: Sample,
    seed: int,
    count: int = 4,
    batch_size: int | None = None,
    fast: bool = True,
) -> Premise:
    """The sensitivities of the own class, and of `count` random classes among all others and among the unlikely.

    Args:
        batch_size: samples at a time; by default as many as [`chunk_size`] says.
        fast: see [`double_backward`].
    """
    generator = torch.Generator().manual_seed(seed)
    batch_size = batch_size or chunk_size(sample.pixel_values)
    sums = np.zeros(3)
    for start in range(0, len(sample.labels), batch_size):
        pixels = sample.pixel_values[start : start + batch_size].clone().requires_grad_()
        labels = sample.labels[start : start + batch_size]
        with double_backward(fast):
            logits = model(pixel_values=pixels)["logits"]
            # The own class comes first, then the others from likely to unlikely.
            first = logits.detach().float().scatter(1, labels.unsqueeze(1), float("inf"))
            ranked = first.argsort(dim=1, descending=True).T
            others, middle = len(ranked) - 1, 1 + (len(ranked) - 1) // 2
            any_ranks = 1 + torch.randperm(others, generator=generator)[:count]
            low_ranks = middle + torch.randperm(len(ranked) - middle, generator=generator)[:count]
            classes = [labels, *ranked[any_ranks], *ranked[low_ranks]]
            target, *rest = squared_input_sensitivities(logits, pixels, *classes, create_graph=False)
        drawn = torch.stack(rest)
        parts = (target, drawn[: len(any_ranks)].mean(0), drawn[len(any_ranks) :].mean(0))
        sums += [float(part.sum()) for part in parts]
    return Premise(*(sums / len(sample.labels)).tolist())
