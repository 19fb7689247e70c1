"""The classifier head of a model: the linear layer that its logits come from."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel


class NoLinearHead(ValueError):
    """A model's logits are not what one linear layer gives, so that it has no features in the sense of the probes."""


def find_head(model: PreTrainedModel, pixel_values: torch.Tensor) -> nn.Linear:
    """The linear layer of a model whose output are its logits.

    Args:
        pixel_values: some samples that the model takes, where it is.

    Raises:
        NoLinearHead: there is none, as where logits are the mean of two heads' or scaled afterwards.
    """
    num_labels = int(model.config.num_labels or 0)
    given: dict[nn.Linear, torch.Tensor] = {}

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        given[module] = output  # type: ignore[index]

    candidates = [each for each in model.modules() if isinstance(each, nn.Linear) and each.out_features == num_labels]
    hooks = [each.register_forward_hook(keep) for each in candidates]
    try:
        with torch.no_grad():
            logits = model.eval()(pixel_values=pixel_values)["logits"]
    finally:
        for hook in hooks:
            hook.remove()
    for layer, output in reversed(given.items()):
        if output.numel() == logits.numel() and torch.equal(output.reshape(logits.shape), logits):
            return layer
    raise NoLinearHead(
        f"none of the {len(candidates)} linear layers with {num_labels} outputs gives the logits of this "
        f"{type(model).__name__} as they are; expected a linear head"
    )
