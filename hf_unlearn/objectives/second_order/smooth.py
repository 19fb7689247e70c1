"""GELU: its slope is worked out once for all logits whose gradients are taken."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

_LOG_DENSITY_AT_0 = -0.5 * math.log(2 * math.pi)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> Any:
        ctx.save_for_backward(values)
        ctx.slope = None
        return functional.gelu(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (values,) = ctx.saved_tensors
        if not torch.is_grad_enabled():
            if ctx.slope is not None:
                return gradients[0] * ctx.slope.detach()
            return torch.ops.aten.gelu_backward(gradients[0], values)
        if ctx.slope is None:
            ctx.slope = _GeluSlope.apply(values)
        return gradients[0] * ctx.slope


class _GeluSlope(torch.autograd.Function):
    """GELU'(x) = Φ(x) + x φ(x); its derivative is φ(x) (2 − x²)."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> Any:
        ctx.save_for_backward(values)
        return torch.ops.aten.gelu_backward(torch.ones_like(values), values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (values,) = ctx.saved_tensors
        result = torch.empty_like(values)
        # One sample after the other: what is written and read again stays in the processor's cache.
        for of_slope, x, out in zip(gradients[0], values, result, strict=True):
            squared = x.square()
            torch.mul(squared, -0.5, out=out).add_(_LOG_DENSITY_AT_0).exp_()
            out.mul_(squared.neg_().add_(2)).mul_(of_slope)
        return result


def gelu(input: torch.Tensor, approximate: str = "none") -> Any:
    """Stands for `torch.nn.functional.gelu`."""
    if approximate != "none" or not input.ndim:
        return functional.gelu(input, approximate=approximate)
    return _Gelu.apply(input)
