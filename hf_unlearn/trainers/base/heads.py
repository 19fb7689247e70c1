"""The classifier head of a model that is unlearned, as methods use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.head import NoLinearHead, find_head
from hf_unlearn.trainers.safety.samples import Sample


def linear_head(model: PreTrainedModel, items: Any) -> nn.Linear:
    """The linear layer whose output are the logits.

    Args:
        items: some that the model takes, `{"pixel_values", "labels"}`, one at the least.

    Raises:
        UnlearningError: there is none.
    """
    try:
        return find_head(model, Sample.at(items, range(1), model).pixel_values)
    except NoLinearHead as error:
        raise UnlearningError(str(error)) from error


@contextmanager
def frozen_but_for(model: PreTrainedModel, head: nn.Linear) -> Iterator[None]:
    """Of the model's weights the head's alone may move; afterwards those that could before."""
    required = {name: value.requires_grad for name, value in model.named_parameters()}
    model.requires_grad_(False)
    head.requires_grad_(True)
    try:
        yield
    finally:
        for name, value in model.named_parameters():
            value.requires_grad_(required[name])
