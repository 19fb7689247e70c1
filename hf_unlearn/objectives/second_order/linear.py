"""Linear layers that leave out rows of zeros.

A classifier that reads the class token alone sends gradients of zero back to all other tokens of its last layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from hf_unlearn.objectives.second_order.inner import of_parameters_alone, weights_wanted

# Picking rows costs a copy: worth it where few are left.
_FEW = 0.25


class _Linear(torch.autograd.Function):
    """Of a matrix."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
        ctx.save_for_backward(values, weight)
        return functional.linear(values, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        values, weight = ctx.saved_tensors
        of_values = of_weight = of_bias = None
        rows = few_rows(gradient)
        if ctx.needs_input_grad[0]:
            if torch.is_grad_enabled():
                of_values = _LinearGradient.apply(gradient, weight, rows)
            else:
                of_values = _product(gradient, weight, rows)
        if weights_wanted():
            if ctx.needs_input_grad[1]:
                of_weight = _weight_gradient(gradient, values, rows)
            if ctx.needs_input_grad[2]:
                of_bias = gradient.sum(0)
        return of_values, of_weight, of_bias


class _LinearGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor | None) -> Any:
        ctx.save_for_backward(gradient, weight)
        ctx.rows = rows
        return _product(gradient, weight, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (of_result,) = gradients
        gradient, weight = ctx.saved_tensors
        # The derivative with respect to a row that happens to be zero is not zero.
        of_gradient = of_result @ weight.t() if ctx.needs_input_grad[0] else None
        of_weight = _weight_gradient(gradient, of_result, ctx.rows) if ctx.needs_input_grad[1] else None
        return of_gradient, of_weight, None


def few_rows(matrix: torch.Tensor) -> torch.Tensor | None:
    """Which rows are not all zero, where these are few; None elsewhere, and on a GPU, which would have to wait."""
    # The second row is looked at first: with the class token in front it is the first to be zero.
    if matrix.device.type != "cpu" or len(matrix) < 2 or bool(matrix[1].any()):
        return None
    rows = matrix.detach().abs().amax(1).nonzero().squeeze(1)
    return rows if len(rows) < _FEW * len(matrix) else None


def _product(gradient: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    if rows is None:
        return gradient @ weight
    return gradient.new_zeros(len(gradient), weight.shape[1]).index_copy_(0, rows, gradient[rows] @ weight)


def _weight_gradient(gradient: torch.Tensor, values: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
    if rows is None:
        return gradient.t() @ values
    return gradient[rows].t() @ values[rows]


def linear(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    """Stands for `torch.nn.functional.linear` of tokens."""
    if input.ndim < 3 or not input.requires_grad or weight.ndim != 2 or not of_parameters_alone(weight):
        return functional.linear(input, weight, bias)
    result: torch.Tensor = _Linear.apply(input.reshape(-1, input.shape[-1]), weight, bias)  # type: ignore[no-untyped-call]
    return result.view(*input.shape[:-1], len(weight))
