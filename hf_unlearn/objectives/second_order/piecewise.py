"""Piecewise-linear operations: where they bend has no derivative, so nothing goes back through the forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from hf_unlearn.objectives.second_order.convolution import pair

_POOL_BACKWARD = torch.ops.aten.max_pool2d_with_indices_backward


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> Any:
        result = values.clamp_min(0)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        # Autograd's own derivative of this knows that it is 0 with respect to the mask's values, but once detached
        # it need not even ask.
        return torch.ops.aten.threshold_backward(gradients[0], ctx.saved_tensors[0].detach(), 0)


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, least: float, most: float) -> Any:
        result = values.clamp(least, most)
        ctx.save_for_backward((result <= least) | (result >= most))
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (flat,) = ctx.saved_tensors
        return gradients[0].masked_fill(flat, 0), None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: torch.Tensor, how: tuple) -> Any:
        result, places = torch.ops.aten.max_pool2d_with_indices(pixels, *how)
        ctx.save_for_backward(pixels, places)
        ctx.how = how
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        pixels, places = ctx.saved_tensors
        return _MaxPoolGradient.apply(gradients[0], pixels.detach(), places, ctx.how), None


class _MaxPoolGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, pixels: torch.Tensor, places: torch.Tensor, how: tuple) -> Any:
        ctx.save_for_backward(places)
        return _POOL_BACKWARD(gradient, pixels, *how, places)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (places,) = ctx.saved_tensors
        chosen = gradients[0].flatten(-2).gather(-1, places.flatten(-2))
        return chosen.view_as(places), None, None, None


def relu(input: torch.Tensor, inplace: bool = False) -> Any:
    """Stands for `torch.nn.functional.relu`."""
    result = _Relu.apply(input)  # type: ignore[no-untyped-call]
    # In place for those who go on with the input, too.
    return input.copy_(result) if inplace else result


def relu6(input: torch.Tensor, inplace: bool = False) -> Any:
    """Stands for `torch.nn.functional.relu6`."""
    result = _Clamp.apply(input, 0.0, 6.0)  # type: ignore[no-untyped-call]
    return input.copy_(result) if inplace else result


def max_pool2d(
    input: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Stands for `torch.nn.functional.max_pool2d`."""
    if return_indices or stride == 0:
        plain: Any = functional.max_pool2d
        return plain(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    kernel = pair(kernel_size)
    return _MaxPool.apply(input, (kernel, pair(stride) if stride else kernel, pair(padding), pair(dilation), ceil_mode))
