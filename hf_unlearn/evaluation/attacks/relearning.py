"""Relearning: how fast what was forgotten comes back when a model is trained again, and whether it does by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import collate
from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.predict import Items

LEARNING_RATE = 1e-4
BATCH_SIZE = 32
MOST_STEPS = 100
RETAINED_STEPS = 50
SCORED_SAMPLES = 256


class Relearning(NamedTuple):
    """The outcome.

    Attributes:
        steps: optimizer steps until the forget accuracy was back; None if it was not within `MOST_STEPS`.
        accuracies: forget accuracy, percent, before the first step and after each.
    """

    steps: int | None
    accuracies: list[float]


def relearn(
    model: PreTrainedModel,
    forget: Items,
    goal: float,
    *,
    retain: Items | None = None,
    shots: int | None = None,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH_SIZE,
    most_steps: int = MOST_STEPS,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_step: Callable[[], None] | None = None,
) -> Relearning:
    """Fine-tune a copy of the model on the forget set until its forget accuracy is at `goal`.

    AdamW without weight decay, constant learning rate, cross-entropy, eval mode (no dropout, BatchNorm's statistics
    as they are). The accuracy is taken on at most `SCORED_SAMPLES` evenly spaced forget samples, after each step. The
    steps of two models compare, if everything here is the same for both; the number itself depends on all of it.

    Args:
        forget: the forget set, a [`PixelDataset`].
        goal: percent; usual is a share of the original model's forget accuracy.
        retain: retained samples: then half of each batch is of these, or the head's bias alone may bring a class back.
        shots: learn from no more forget samples than these, drawn by `seed`; the accuracy is that of the others.
        batch_size: samples a step; with `shots` at most as many as these, and as many retained ones.
        seed: of the order of the samples, a new one each pass.
        on_step: called before each step; what it raises ends the fine-tuning.

    Raises:
        ValueError: the goal is no percentage, no step is allowed, or there are not more forget samples than `shots`.
    """
    if not 0 <= goal <= 100 or most_steps < 1:
        raise ValueError(f"goal is {goal} % in {most_steps} steps; expected 0 to 100 in at least 1")
    rows = scored = np.arange(len(forget))
    if shots is not None:
        if not 1 <= shots < len(forget):
            raise ValueError(f"shots is {shots} of {len(forget)} forget samples; expected at least 1, and fewer")
        drawn = np.random.default_rng(seed).permutation(len(forget))
        rows, scored = np.sort(drawn[:shots]), np.sort(drawn[shots:])
    size = min(batch_size if retain is None else max(1, batch_size // 2), len(rows))
    batches = _batches(forget, rows, size, seed)
    if retain is not None:
        beside = _batches(retain, np.arange(len(retain)), size, seed + 1)
        batches = ([*one, *other] for one, other in zip(batches, beside, strict=False))
    return _fine_tune(model, batches, (forget, scored), goal, learning_rate, most_steps, device, on_step)


def remembered(
    model: PreTrainedModel,
    forget: Items,
    retain: Items,
    *,
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH_SIZE,
    steps: int = RETAINED_STEPS,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_step: Callable[[], None] | None = None,
) -> float:
    """The highest forget accuracy, percent, while a copy of the model is fine-tuned on retained samples **alone**.

    A model that was made to forget can remember by itself; one that never knew does not (arXiv 2505.22310). Everything
    else is as in [`relearn`].

    Args:
        forget: what its accuracy is taken on; it is not learned from.
        retain: what it learns from.
        steps: how many.

    Raises:
        ValueError: no step, or no retained sample.
    """
    if steps < 1 or not len(retain):
        raise ValueError(f"there are {steps} steps on {len(retain)} retained samples; expected at least 1 of each")
    batches = _batches(retain, np.arange(len(retain)), batch_size, seed)
    everything = (forget, np.arange(len(forget)))
    # At 100 % there is nothing higher to come.
    return max(_fine_tune(model, batches, everything, 100.0, learning_rate, steps, device, on_step).accuracies)


def _batches(items: Items, rows: np.ndarray, size: int, seed: int) -> Iterator[list[dict[str, Any]]]:
    """Samples without end, in a new order each pass; the last batch of a pass has what is left."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(order), size):
            yield items.__getitems__(order[start : start + size].tolist())


def _fine_tune(
    model: PreTrainedModel,
    batches: Iterator[list[dict[str, Any]]],
    scored: tuple[Items, np.ndarray],
    goal: float,
    learning_rate: float,
    most_steps: int,
    device: str | torch.device,
    on_step: Callable[[], None] | None,
) -> Relearning:
    learner = copy.deepcopy(model).eval().to(device).float().requires_grad_(True)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=learning_rate, weight_decay=0.0)
    items, rows = scored
    checked = rows[evenly_spaced(len(rows), SCORED_SAMPLES)].tolist()
    check = _on(collate(items.__getitems__(checked)), device)
    accuracies = [_accuracy(learner, check)]
    while accuracies[-1] < goal and len(accuracies) <= most_steps:
        if on_step is not None:
            on_step()
        batch = _on(collate(next(batches)), device)
        loss = torch.nn.functional.cross_entropy(learner(pixel_values=batch["pixel_values"])["logits"], batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracies.append(_accuracy(learner, check))
    reached = accuracies[-1] >= goal
    return Relearning(len(accuracies) - 1 if reached else None, accuracies)


@torch.no_grad()
def _accuracy(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> float:
    answers = torch.cat([model(pixel_values=part)["logits"].argmax(-1) for part in batch["pixel_values"].split(64)])
    return 100.0 * float((answers == batch["labels"]).float().mean())


def _on(batch: dict[str, torch.Tensor], device: str | torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in batch.items()}
