"""Gradients of the ordinary loss over a whole dataset, for methods that weigh weights by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from hf_unlearn.objectives import label_loss


def mean_gradient(
    model: PreTrainedModel, dataset: Dataset, collate: Callable[..., Any], batch_size: int = 64
) -> dict[str, torch.Tensor]:
    """∇_θ of the mean cross-entropy over `dataset`, by name of the parameter; every parameter of `model`, float32."""
    total = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in model.named_parameters()}
    for size, gradients in _batch_gradients(model, dataset, collate, batch_size, "Weighing weights"):
        for name, gradient in gradients.items():
            total[name] += gradient * (size / len(cast(Sized, dataset)))
    return total


def mean_squared_gradient(
    model: PreTrainedModel, dataset: Dataset, collate: Callable[..., Any], batch_size: int
) -> dict[str, torch.Tensor]:
    """Mean over batches of (∇_θ of the batch's mean cross-entropy)², by name of the parameter, float32.

    With batches of 1 this is the diagonal of the empirical Fisher information.
    """
    total = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in model.named_parameters()}
    batches = 0
    for _, gradients in _batch_gradients(model, dataset, collate, batch_size, "Measuring importance"):
        batches += 1
        for name, gradient in gradients.items():
            total[name] += gradient.square()
    return {name: value / batches for name, value in total.items()}


def _batch_gradients(
    model: PreTrainedModel, dataset: Dataset, collate: Callable[..., Any], batch_size: int, description: str
) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
    model.eval()
    required = {name: value.requires_grad for name, value in model.named_parameters()}
    parameters = dict(model.named_parameters())
    loader = DataLoader(cast(Any, dataset), batch_size, collate_fn=collate)
    try:
        model.requires_grad_(True)
        for batch in tqdm(loader, desc=description, unit="batch", delay=2, disable=None, leave=False):
            with torch.enable_grad():
                logits = model(pixel_values=batch["pixel_values"].to(model.device, model.dtype))["logits"]
                loss = label_loss(logits, batch["labels"].to(model.device)).mean()
                found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
            yield (
                len(batch["labels"]),
                {name: value.float() for name, value in zip(parameters, found, strict=True) if value is not None},
            )
    finally:
        for name, value in parameters.items():
            value.requires_grad_(required[name])
