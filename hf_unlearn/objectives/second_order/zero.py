"""A zero that keeps every weight in the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


class _Zero(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *tensors: torch.Tensor) -> Any:
        ctx.like = [(tensor.shape, tensor.dtype) for tensor in tensors]
        return tensors[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return tuple(gradients[0].new_zeros((), dtype=dtype).expand(shape) for shape, dtype in ctx.like)


def zero_of(tensors: Iterable[torch.Tensor]) -> Any:
    """A scalar 0 that depends on all of `tensors`, with gradients of 0, at no cost of a pass through a model."""
    return _Zero.apply(*tensors)
