"""GELU and LayerNorm: their curvature is gone through once for all logits, or in as few passes as it takes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from hf_unlearn.objectives.second_order.inner import of_parameters_alone, weights_wanted

_LOG_DENSITY_AT_0 = -0.5 * math.log(2 * math.pi)
# Elements: 1 MiB of float32.
_CACHED = 2**18
_GELU_BACKWARD = torch.ops.aten.gelu_backward
_NORM_BACKWARD = torch.ops.aten.native_layer_norm_backward


class _Gelu(torch.autograd.Function):
    """GELU, and a place for the gradient with respect to its slope: zeros that take no room.

    With slope GELU'(x) = Φ(x) + x φ(x), each gradient that is taken sends to that place its share; they are added up
    before they are multiplied with the slope's own derivative, φ(x) (2 − x²).
    """

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> Any:
        slope = values.new_zeros(()).expand_as(values)
        ctx.save_for_backward(values, slope)
        ctx.set_materialize_grads(False)
        return functional.gelu(values), slope

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        gradient, of_slope = gradients
        values, slope = ctx.saved_tensors
        if of_slope is None:
            return None if gradient is None else _GeluGradient.apply(gradient, slope, values.detach())
        result = _of_curvature(of_slope, values)
        return result if gradient is None else result.add_(_GELU_BACKWARD(gradient, values))


def _of_curvature(of_slope: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """φ(x) (2 − x²) times what came back to the slope, shaped as `values`."""
    flat, shares = values.reshape(-1), of_slope.reshape(-1)
    result = torch.empty_like(flat)
    # What is written and read again stays in a processor's cache.
    size = _CACHED if values.device.type == "cpu" else max(1, len(flat))
    for share, x, out in zip(shares.split(size), flat.split(size), result.split(size), strict=True):
        squared = x.square()
        torch.mul(squared, -0.5, out=out).add_(_LOG_DENSITY_AT_0).exp_()
        out.mul_(squared.neg_().add_(2)).mul_(share)
    return result.view(values.shape)


class _GeluGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, slope: torch.Tensor, values: torch.Tensor) -> Any:
        ctx.save_for_backward(gradient, values)
        return _GELU_BACKWARD(gradient, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (of_result,) = gradients
        gradient, values = ctx.saved_tensors
        return _GELU_BACKWARD(of_result, values), of_result * gradient, None


class _LayerNorm(torch.autograd.Function):
    """Over the last dimension of a matrix."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: Any, bias: Any, eps: float) -> Any:
        result, mean, rstd = torch.native_layer_norm(values, values.shape[1:], weight, bias, eps)
        ctx.save_for_backward(values, mean, rstd, weight)
        ctx.eps = eps
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        values, mean, rstd, weight = ctx.saved_tensors
        (gradient,) = gradients
        if not torch.is_grad_enabled():
            return *_norm_backward(gradient, values, mean, rstd, weight, ctx.needs_input_grad[:3]), None
        of_values = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_values = _LayerNormGradient.apply(gradient, values, weight, mean, rstd)
        if weights_wanted():
            if ctx.needs_input_grad[1]:
                of_weight = (gradient * functional.layer_norm(values, values.shape[1:], eps=ctx.eps)).sum(0)
            if ctx.needs_input_grad[2]:
                of_bias = gradient.sum(0)
        return of_values, of_weight, of_bias, None


class _LayerNormGradient(torch.autograd.Function):
    """P(γ g), with P(u) = r (u − mean u − x̂ mean(u x̂)), x̂ = (x − m) r the normalised values, r = 1/deviation.

    P is symmetric. With v = γ g, t what comes back, and d(x̂) = P dx, dr = −r² mean(x̂ dx), the derivative of t · P v
    with respect to x is −r (mean(v x̂) P t + mean(t x̂) P v + mean(t P v) x̂).
    """

    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, values: torch.Tensor, weight: Any, mean: torch.Tensor, rstd: torch.Tensor
    ) -> Any:
        ctx.save_for_backward(gradient, values, weight, mean, rstd)
        return _norm_backward(gradient, values, mean, rstd, weight)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (of_result,) = gradients
        gradient, values, weight, mean, rstd = ctx.saved_tensors
        projected = _norm_backward(of_result, values, mean, rstd, None)[0]
        scaled = gradient if weight is None else gradient * weight
        of_weight = None
        if weight is not None and ctx.needs_input_grad[2]:
            of_weight = (gradient * projected).sum(0)
        product = torch.mul(scaled, projected)
        slopes = product.mean(1, keepdim=True)
        normal = torch.sub(values, mean).mul_(rstd)
        of_scaled = torch.mul(scaled, normal, out=product).mean(1, keepdim=True)
        of_back = torch.mul(of_result, normal, out=product).mean(1, keepdim=True)
        result = _norm_backward(gradient, values, mean, rstd, weight)[0].mul_(of_back.mul_(-rstd))
        result.addcmul_(projected, of_scaled.mul_(-rstd)).addcmul_(normal, slopes.mul_(-rstd))
        return (projected if weight is None else projected.mul_(weight)), result, of_weight, None, None


def _norm_backward(
    gradient: torch.Tensor, values: torch.Tensor, mean: Any, rstd: Any, weight: Any, which: Any = (True, False, False)
) -> Any:
    return _NORM_BACKWARD(gradient, values, values.shape[1:], mean, rstd, weight, weight, list(which))


def gelu(input: torch.Tensor, approximate: str = "none") -> Any:
    """Stands for `torch.nn.functional.gelu`."""
    if approximate != "none" or not input.ndim or not input.requires_grad:
        return functional.gelu(input, approximate=approximate)
    return _Gelu.apply(input)[0]


def layer_norm(
    input: torch.Tensor,
    normalized_shape: Any,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """Stands for `torch.nn.functional.layer_norm` over the last dimension."""
    plain = len(normalized_shape) != 1 or not input.requires_grad or (weight is None and bias is not None)
    if plain or not of_parameters_alone(weight, bias):
        return functional.layer_norm(input, normalized_shape, weight, bias, eps)
    return _LayerNorm.apply(input.reshape(-1, input.shape[-1]), weight, bias, eps).view(input.shape)
