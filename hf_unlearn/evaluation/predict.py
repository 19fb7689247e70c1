"""Logits of models over a split, reading every image once for all models that see it alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.data.pixels import PixelDataset, collate
from hf_unlearn.names import is_hub_name, public_name


class Contestant(NamedTuple):
    """A model to evaluate, with the image processor it came with.

    Attributes:
        public_name: the name as results may show it, decided when it was loaded; None: as it is now.
    """

    name: str
    model: PreTrainedModel
    image_processor: BaseImageProcessor
    public_name: str | None = None

    @property
    def shown(self) -> str:
        """The name for results: of a folder the last part only."""
        return public_name(self.name, is_hub_name(self.name)) if self.public_name is None else self.public_name


class Items(Protocol):
    """A split as a model eats it: a [`PixelDataset`], or some of one."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]: ...


class Remembered:
    """The items of a split, each decoded and preprocessed when it is first asked for, and kept from then on."""

    def __init__(self, items: Items):
        self._source = items
        self._items: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        new = [index for index in dict.fromkeys(indices) if index not in self._items]
        if new:
            self._items.update(zip(new, self._source.__getitems__(new), strict=True))
        return [self._items[index] for index in indices]


class Chosen:
    """Some items of a split, by position."""

    def __init__(self, items: Items, rows: np.ndarray):
        self._items = items
        self._rows = [int(row) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        return self._items.__getitems__([self._rows[index] for index in indices])


@torch.no_grad()
def batches_of_logits(
    models: Mapping[str, PreTrainedModel],
    pixels: Items,
    batch_size: int,
    device: str | torch.device,
    description: str,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Logits of each model, batch by batch, each with the position of its first sample.

    Args:
        models: by role; all must take the same pixels. They are put into eval mode and moved to `device`.
        share: `(k, n)`: only batches k, k + n, k + 2n ... Which samples make a batch does not depend on it.
    """
    for model in models.values():
        model.eval().to(device)
    size = len(pixels)
    first, step = share
    starts = range(first * batch_size, size, step * batch_size)
    batches = [list(range(start, min(start + batch_size, size))) for start in starts]
    # Images are decoded ahead where they are read as they come.
    items = pixels.in_batches(batches) if isinstance(pixels, PixelDataset) else map(pixels.__getitems__, batches)
    shown = tqdm(starts, desc=description, unit="batch", delay=2, disable=None if first == 0 else True, leave=False)
    for start, batch in zip(shown, items, strict=True):
        pixel_values = collate(batch)["pixel_values"].to(device)
        logits = {role: model(pixel_values=pixel_values.to(model.dtype))["logits"] for role, model in models.items()}
        yield start, {role: values.float().cpu().numpy() for role, values in logits.items()}


def predict_logits(
    models: Mapping[str, PreTrainedModel],
    pixels: Items,
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    description: str = "Evaluating",
) -> dict[str, np.ndarray]:
    """Logits of each model over `pixels`, in its order, in memory.

    Args:
        models: by role; all must take the same pixels. They are put into eval mode and moved to `device`.
        pixels: the split, a `PixelDataset` or a `Subset` of one.

    Returns:
        For each role `(samples, num_labels)` float32.
    """
    batches: dict[str, list[np.ndarray]] = {role: [] for role in models}
    for _, logits in batches_of_logits(models, pixels, batch_size, device, description):
        for role, values in logits.items():
            batches[role].append(values)
    return {
        role: np.concatenate(logits) if logits else np.empty((0, models[role].config.num_labels or 0), np.float32)
        for role, logits in batches.items()
    }
