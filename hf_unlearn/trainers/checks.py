"""What is measured on the forget set and the original model before a run, and of its outcome after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.objectives import Surroundings, double_backward, squared_input_sensitivities
from hf_unlearn.trainers.stopping import Latest, StepFigures, StopRule

# How many forget samples, evenly spaced, a check looks at.
CHECKED_SAMPLES = 256
# Below this share of inputs near the forget samples on which the original and the unlearned model agree, the model
# is taken for collapsed. In the study every sound run lies above it, and so do some that lost much.
LEAST_AGREEMENT = 0.5


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
        rows = np.linspace(0, size - 1, min(size, most)).round().astype(int)
        items = [dataset[int(row)] for row in rows]
        pixels = torch.stack([torch.as_tensor(item["pixel_values"]) for item in items])
        labels = torch.tensor([int(item["labels"]) for item in items])
        return cls(pixels.to(model.device, model.dtype), labels.to(model.device), torch.as_tensor(rows))


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
    model: nn.Module, sample: Sample, seed: int, count: int = 4, batch_size: int | None = None
) -> Premise:
    """The sensitivities of the own class, and of `count` random classes among all others and among the unlikely.

    Args:
        batch_size: samples at a time; by default as many as [`chunk_size`] says.
    """
    generator = torch.Generator().manual_seed(seed)
    batch_size = batch_size or chunk_size(sample.pixel_values)
    sums = np.zeros(3)
    for start in range(0, len(sample.labels), batch_size):
        pixels = sample.pixel_values[start : start + batch_size].clone().requires_grad_()
        labels = sample.labels[start : start + batch_size]
        with double_backward():
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


@torch.no_grad()
def surroundings_agreement(
    original: nn.Module, model: nn.Module, sample: Sample, size: int, seed: int, left_out: torch.Tensor | None = None
) -> float:
    """Share of inputs near forget samples whose likeliest class for the one model is a likely one for the other.

    Likely is the likeliest twentieth of the classes, or with up to 20 of them the likeliest one. The samples' own
    label is left out.

    What a model says of such inputs rests on the features that all classes share, so this falls when the rest of the
    model is damaged, without any retained data being looked at. Between 0 and 1; 0 if a logit is not finite.

    Args:
        sample: of the forget set, which has `size` samples.
        seed: of the inputs near them.
        left_out: further classes that do not count.
    """
    near = Surroundings(size, seed).near(sample.pixel_values, sample.index, pass_number=0)
    ranked = []
    for answering in (original, model):
        logits = _logits(answering, near)
        if not torch.isfinite(logits).all():
            return 0.0
        logits = logits.scatter(1, sample.labels.unsqueeze(1), float("-inf"))
        if left_out is not None:
            logits = logits.index_fill(1, left_out.to(logits.device), float("-inf"))
        ranked.append(logits.argsort(1, descending=True))
    likely = max(1, round(ranked[0].shape[1] / 20))
    return float((ranked[0][:, :1] == ranked[1][:, :likely]).any(1).float().mean())


@torch.no_grad()
def sample_accuracy(model: nn.Module, sample: Sample) -> float:
    """Share of the sample that the model classifies as labelled, between 0 and 1."""
    return float((_logits(model, sample.pixel_values).argmax(1) == sample.labels).float().mean())


@torch.no_grad()
def own_logits(model: nn.Module, sample: Sample) -> torch.Tensor:
    """For each sample the log-odds of its label, `(n,)`: its logit less the logsumexp of the others."""
    logits = _logits(model, sample.pixel_values)
    own = sample.labels.unsqueeze(1)
    return logits.gather(1, own).squeeze(1) - logits.scatter(1, own, float("-inf")).logsumexp(1)


def calibrated_shift(forget_odds: torch.Tensor, unseen_odds: torch.Tensor, most: float = 30.0) -> float:
    """By how many nats to lower the log-odds of forget samples, so that their mean confidence is that of unseen ones.

    Args:
        forget_odds, unseen_odds: log-odds of the labels under the original model, from [`own_logits`].
        most: no more than this.

    Returns:
        0 where the forget samples are no surer than the unseen ones.
    """
    level = unseen_odds.sigmoid().mean()
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (forget_odds - middle).sigmoid().mean() > level else (low, middle)
    return low


def chunk_size(pixel_values: torch.Tensor) -> int:
    """How many images `(n, channels, height, width)` go through a model at a time: 64, or fewer above 64 × 64 pixels.

    It depends on the images alone, so that a check gives the same in every layout of batches and processes.
    """
    return max(1, min(64, 64 * 3 * 64 * 64 // pixel_values[0].numel()))


def _logits(model: nn.Module, pixel_values: torch.Tensor) -> torch.Tensor:
    chunks = pixel_values.split(chunk_size(pixel_values))
    return torch.cat([model(pixel_values=chunk)["logits"].float() for chunk in chunks])


class WrongWay(StopRule):
    """Ends a run that leads away from forgetting: sensitivities collapse, or confidence rises, in the own class.

    Fatal: the trainer puts the original weights back.

    Args:
        window: samples that figures are averaged over.
        watch_sensitivity: whether a target sensitivity that collapses while the confidence stays is a wrong way.
    """

    fatal = True

    def __init__(self, window: int = 96, watch_sensitivity: bool = True):
        self.window = window
        self.watch_sensitivity = watch_sensitivity
        self.first: list[float] | None = None
        self.confidences: list[list[float]] = []
        self.rises: list[list[float]] = []
        self.targets: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        samples = figures["samples"]
        confidence, target = figures["confidence"], figures.get("target_sensitivity", 0.0)
        if self.first is None:
            self.first = [confidence / samples, target / samples]
        # Sample by sample against the original where that is known: batches differ in how sure the original is of
        # them, most of all where it is sure of few.
        before = figures.get("original_confidence", self.first[0] * samples)
        mean_confidence = Latest(self.window, self.confidences).add(confidence, samples)
        rise = Latest(self.window, self.rises).add(confidence - before, samples)
        mean_target = Latest(self.window, self.targets).add(target, samples)
        if mean_confidence is None or mean_target is None or rise is None:
            return None
        fallen = self.first[1] > 0 and mean_target < 0.25 * self.first[1] and rise > -0.02
        if not (rise > 0.05 or (fallen and self.watch_sensitivity)):
            return None
        return (
            f"the model grew surer of what it should forget (confidence {100 * (mean_confidence - rise):.1f} -> "
            f"{100 * mean_confidence:.1f} %, target sensitivity {self.first[1]:.3g} -> {mean_target:.3g})"
        )

    def _arguments(self) -> dict[str, int]:
        return {"window": self.window, "watch_sensitivity": self.watch_sensitivity}

    def _memory(self) -> dict[str, object]:
        names = ("first", "confidences", "rises", "targets")
        return {name: getattr(self, name) for name in names}
