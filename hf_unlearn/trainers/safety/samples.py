"""Some of a set, evenly spaced, and what a model says of it: what the checks before, during and after a run look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.objectives.labelling import log_odds

# How many forget samples, evenly spaced, a check looks at.
CHECKED_SAMPLES = 256


@dataclass(frozen=True)
class Sample:
    """Some of the forget set: `pixel_values` `(n, channels, height, width)`, `labels` and `index` `(n,)`."""

    pixel_values: torch.Tensor
    labels: torch.Tensor
    index: torch.Tensor

    @classmethod
    def of(
        cls, dataset: torch.utils.data.Dataset, size: int, model: PreTrainedModel, most: int = CHECKED_SAMPLES
    ) -> Sample:
        """At most so many evenly spaced items of a dataset of `size` items, as `model` takes them."""
        return cls.at(dataset, evenly_spaced(size, most), model)

    @classmethod
    def at(cls, dataset: torch.utils.data.Dataset, rows: Iterable[int], model: PreTrainedModel) -> Sample:
        """The items of a dataset at some positions, as `model` takes them."""
        rows = [int(row) for row in rows]
        items = [dataset[row] for row in rows]
        pixels = torch.stack([torch.as_tensor(item["pixel_values"]) for item in items])
        labels = torch.tensor([int(item["labels"]) for item in items])
        return cls(pixels.to(model.device, model.dtype), labels.to(model.device), torch.tensor(rows))


@torch.no_grad()
def sample_accuracy(model: nn.Module, sample: Sample) -> float:
    """Share of the sample that the model classifies as labelled, between 0 and 1."""
    return float((sample_logits(model, sample.pixel_values).argmax(1) == sample.labels).float().mean())


@torch.no_grad()
def own_logits(model: nn.Module, sample: Sample) -> torch.Tensor:
    """For each sample the log-odds of its label, `(n,)`: its logit less the logsumexp of the others."""
    return log_odds(sample_logits(model, sample.pixel_values), sample.labels)


def labels_of(dataset: Any, size: int) -> torch.Tensor:
    """The class ids of a dataset of `size` items of `{"pixel_values", "labels"}`, `(size,)` int64."""
    known = getattr(dataset, "labels", None)
    return known if known is not None else torch.tensor([int(dataset[row]["labels"]) for row in range(size)])


def sureness(logits: torch.Tensor) -> torch.Tensor:
    """The largest probability of each row of `(n, num_labels)`, `(n,)`: 0 to 1. It asks for no label."""
    return logits.softmax(-1).amax(-1)


def bisected(below: Callable[[float], bool], most: float, steps: int = 40) -> float:
    """Where `below`, true of small numbers and false of large ones, changes, between 0 and `most`; from below."""
    low, high = 0.0, most
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return low


def chunk_size(pixel_values: torch.Tensor) -> int:
    """How many images `(n, channels, height, width)` go through a model at a time: 64, or fewer above 64 × 64 pixels.

    It depends on the images alone, so that a check gives the same in every layout of batches and processes.
    """
    return max(1, min(64, 64 * 3 * 64 * 64 // pixel_values[0].numel()))


def sample_logits(model: nn.Module, pixel_values: torch.Tensor) -> torch.Tensor:
    """What the model says of images `(n, channels, height, width)`: float32 `(n, num_labels)`, a few at a time."""
    chunks = pixel_values.split(chunk_size(pixel_values))
    return torch.cat([model(pixel_values=chunk)["logits"].float() for chunk in chunks])
