"""What a classifier's head reads: the features of samples, and the head itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import collate
from hf_unlearn.evaluation.predict import Items
from hf_unlearn.models.head import NoLinearHead as NoLinearHead
from hf_unlearn.models.head import find_head


class Head(NamedTuple):
    """The linear layer whose output are the logits: logits = features · weightᵀ + bias.

    Attributes:
        weight: `(num_labels, width)` float32, rows by class id.
        bias: `(num_labels,)` float32, zeros where the layer has none.
    """

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of features `(samples, width)`: `(samples, num_labels)`."""
        return features @ self.weight.T + self.bias


def head_of(layer: nn.Linear) -> Head:
    """A head's weights as arrays."""
    weight = layer.weight.detach().float().cpu().numpy()
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().float().cpu().numpy()
    return Head(weight, bias)


def features_of(
    model: PreTrainedModel,
    pixels: Items,
    rows: np.ndarray | None = None,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, Head]:
    """What the classifier's head is given for each sample, and the head.

    Args:
        model: an image classifier; it is put into eval mode and moved to `device`.
        pixels: a split, a [`PixelDataset`].
        rows: positions of the samples; by default all.

    Returns:
        `(samples, width)` float32, and the head that makes logits of them.

    Raises:
        NoLinearHead: the logits do not come from one linear layer.
        ValueError: there is no sample, or a feature is not finite.
    """
    chosen = list(range(len(pixels))) if rows is None else [int(row) for row in rows]
    if not chosen:
        raise ValueError("there is no sample to take features of; expected at least one")
    model.eval().to(device)  # type: ignore[arg-type]
    caught: list[torch.Tensor] = []
    layer = hook = None
    try:
        for start in range(0, len(chosen), batch_size):
            batch = collate(pixels.__getitems__(chosen[start : start + batch_size]))["pixel_values"]
            batch = batch.to(device, model.dtype)
            if layer is None:
                layer = find_head(model, batch[:2])
                hook = layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
            with torch.no_grad():
                model(pixel_values=batch)
            caught[-1] = caught[-1].reshape(len(batch), -1).float().cpu()
    finally:
        if hook is not None:
            hook.remove()
    found = torch.cat(caught).numpy()
    if not np.isfinite(found).all():
        raise ValueError("the features hold NaN or infinity; expected finite numbers")
    assert layer is not None
    return found, head_of(layer)
