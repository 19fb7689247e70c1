"""Relearn time: how fast what was forgotten comes back when the model is trained on it again."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import collate
from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.predict import Items

LEARNING_RATE = 1e-4
BATCH_SIZE = 32
MOST_STEPS = 100
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
    learning_rate: float = LEARNING_RATE,
    batch_size: int = BATCH_SIZE,
    most_steps: int = MOST_STEPS,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Relearning:
    """Fine-tune a copy of the model on the forget set until its forget accuracy is at `goal`.

    AdamW without weight decay, constant learning rate, cross-entropy, eval mode (no dropout, BatchNorm's statistics
    as they are). The accuracy is taken on at most `SCORED_SAMPLES` evenly spaced forget samples, after each step. The
    steps of two models compare, if everything here is the same for both; the number itself depends on all of it.

    Args:
        forget: the forget set, a [`PixelDataset`].
        goal: percent; usual is a share of the original model's forget accuracy.
        seed: of the order of the samples, a new one each pass.

    Raises:
        ValueError: the goal is no percentage, or no step is allowed.
    """
    if not 0 <= goal <= 100 or most_steps < 1:
        raise ValueError(f"goal is {goal} % in {most_steps} steps; expected 0 to 100 in at least 1")
    learner = copy.deepcopy(model).eval().to(device).float().requires_grad_(True)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=learning_rate, weight_decay=0.0)
    checked = evenly_spaced(len(forget), SCORED_SAMPLES).tolist()
    check = _on(collate(forget.__getitems__(checked)), device)
    accuracies = [_accuracy(learner, check)]
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = []
    while accuracies[-1] < goal and len(accuracies) <= most_steps:
        if not order:
            order = torch.randperm(len(forget), generator=generator).tolist()
        chosen, order = order[:batch_size], order[batch_size:]
        batch = _on(collate(forget.__getitems__(chosen)), device)
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
