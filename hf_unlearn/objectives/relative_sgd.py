"""Gradient descent with steps measured against the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import torch


class RelativeSGD(torch.optim.Optimizer):
    """w ← w − ρ · ‖w‖ · s g / ‖s g‖, with the norms taken over all parameters together.

    The step's length is the fraction ρ of the weights' length, whatever the size of the gradient: a loss that is
    unbounded below cannot throw the weights away in one step, and one ρ serves models, inputs and logits of any
    scale. The direction is the gradient's.

    Args:
        params: parameters, as for any `torch.optim.Optimizer`; parameters without a gradient stay put and do not
            count in ‖w‖.
            A group of them may have a `scale` s (default 1): how much its gradient counts against the others'.
        lr: ρ, a fraction of ‖w‖ (no unit), > 0. A learning-rate schedule applies to it.

    Raises:
        ValueError: `lr` is not positive.
    """

    def __init__(self, params: Iterable, lr: float = 1e-3):
        if not lr > 0:
            raise ValueError(f"lr is {lr!r}; expected a fraction of the weights' norm above 0")
        super().__init__(params, {"lr": lr, "scale": 1.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step. With a gradient that is exactly zero the weights stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = [
            (parameter, group["lr"], group["scale"])
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not moving:
            return loss
        directions = self._directions([parameter for parameter, _, _ in moving])
        weight_norm = global_norm(parameter for parameter, _, _ in moving)
        length = global_norm(scale * each for (_, _, scale), each in zip(moving, directions, strict=True))
        if length == 0:
            return loss
        unit = float(weight_norm / length)
        for (parameter, lr, scale), direction in zip(moving, directions, strict=True):
            parameter.add_(direction.to(parameter.dtype), alpha=-lr * scale * unit)
        return loss

    def _directions(self, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
        """Where each of the parameters, which have gradients, is to go, of any length."""
        return [cast(torch.Tensor, parameter.grad) for parameter in parameters]


def global_norm(tensors: Iterable[torch.Tensor | None]) -> torch.Tensor:
    """The norm over all elements of all tensors."""
    norms = [torch.linalg.vector_norm(tensor.detach().float()) for tensor in tensors if tensor is not None]
    return torch.linalg.vector_norm(torch.stack(norms))
