"""One look at every forget sample, before a run's first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple, cast

import torch
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel

BATCH_SIZE = 64


class ForgetBatch(NamedTuple):
    """`pixel_values` `(batch, channels, height, width)` as the model takes them, `labels` and `rows` `(batch,)`, their
    positions."""

    pixel_values: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor


def forget_pass(
    dataset: Any, model: PreTrainedModel, collate: Callable[..., Any], description: str
) -> Iterator[ForgetBatch]:
    """The samples of the forget set in order, on the device and in the dtype of `model`.

    Args:
        dataset: items of `{"pixel_values", "labels", "index"}`.
        description: of the bar.
    """
    loader = DataLoader(cast(Dataset, dataset), BATCH_SIZE, collate_fn=collate)
    for batch in tqdm(loader, desc=description, unit="batch", delay=2, disable=None, leave=False):
        yield ForgetBatch(
            batch["pixel_values"].to(model.device, model.dtype), batch["labels"].to(model.device), batch["index"]
        )


class Stored:
    """Something of every forget sample, put in a batch at a time and kept on the CPU."""

    def __init__(self, dataset: Any):
        self._size = len(cast(Sized, dataset))
        self._values: torch.Tensor | None = None

    def put(self, index: torch.Tensor, values: torch.Tensor) -> None:
        """Keep the `values` `(batch, ...)` of the samples at `index`."""
        if self._values is None:
            self._values = torch.zeros(self._size, *values.shape[1:], dtype=values.dtype)
        self._values[index.cpu()] = values.cpu()

    def of(self, index: torch.Tensor) -> torch.Tensor:
        """The values of the samples at `index`, on its device."""
        assert self._values is not None, "nothing was put in"
        return self._values[index.cpu()].to(index.device)


def labels_of(dataset: Any, model: PreTrainedModel, collate: Callable[..., Any]) -> torch.Tensor:
    """The classes of the forget set, increasing, on the CPU: as the dataset says, or else read off its samples."""
    labels = getattr(dataset, "labels", None)
    if labels is None:
        found = [batch.labels for batch in forget_pass(dataset, model, collate, "Reading labels")]
        return torch.cat(found).unique().cpu()
    return torch.as_tensor(labels).unique()
