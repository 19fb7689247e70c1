"""Logits of models over a split, reading every image once for all models that see it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.models.pixels import collate


class Contestant(NamedTuple):
    """A model to evaluate, with the image processor it came with."""

    name: str
    model: PreTrainedModel
    image_processor: BaseImageProcessor


@torch.no_grad()
def predict_logits(
    models: Mapping[str, PreTrainedModel],
    pixels: Dataset,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    description: str = "Evaluating",
) -> dict[str, np.ndarray]:
    """Logits of each model over `pixels`, in its order.

    Args:
        models: by role; all must take the same pixels. They are put into eval mode and moved to `device`.
        pixels: the split, a `PixelDataset` or a `Subset` of one.

    Returns:
        For each role `(samples, num_labels)` float32.
    """
    for model in models.values():
        model.eval().to(device)
    batches: dict[str, list[np.ndarray]] = {role: [] for role in models}
    loader = DataLoader(pixels, batch_size=batch_size, collate_fn=collate)
    for batch in tqdm(loader, desc=description, unit="batch", delay=2, disable=None, leave=False):
        pixel_values = batch["pixel_values"].to(device)
        for role, model in models.items():
            logits = model(pixel_values=pixel_values.to(model.dtype))["logits"]
            batches[role].append(logits.float().cpu().numpy())
    return {
        role: np.concatenate(logits) if logits else np.empty((0, models[role].config.num_labels or 0), np.float32)
        for role, logits in batches.items()
    }
