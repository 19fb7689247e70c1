"""Attention with a second derivative that goes over its weights as seldom as the arithmetic allows."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

_SOFTMAX_BACKWARD = torch.ops.aten._softmax_backward_data


class _Attention(torch.autograd.Function):
    """softmax(scale · q kᵀ) v, and the weights P = softmax(…).

    The second output is for [`_AttentionGradient`] alone. What comes back to it is the gradient with respect to log P,
    that is P times the one with respect to P: it falls out that way, and a division by P would be its price.
    """

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> Any:
        weights = torch.softmax(_scaled(q, k.transpose(1, 2), scale), -1)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale = scale
        ctx.set_materialize_grads(False)
        return weights @ v, weights

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        gradient, of_log = gradients
        q, k, v, weights = ctx.saved_tensors
        if gradient is None and of_log is None:
            return None, None, None, None
        if torch.is_grad_enabled() and of_log is None:
            return *_AttentionGradient.apply(gradient, q, k, v, weights, ctx.scale), None
        of_v = None
        if of_log is None:
            of_scores = _SOFTMAX_BACKWARD(gradient @ v.transpose(1, 2), weights, -1, weights.dtype)
        else:
            if gradient is not None:
                of_log = (gradient @ v.transpose(1, 2)).mul_(weights).add_(of_log)
            of_scores = torch.addcmul(of_log, weights, of_log.sum(-1, keepdim=True), value=-1)
        if gradient is not None:
            of_v = weights.transpose(1, 2) @ gradient
        return _scaled(of_scores, k, ctx.scale), _scaled(of_scores.transpose(1, 2), q, ctx.scale), of_v, None


class _AttentionGradient(torch.autograd.Function):
    """The gradients of q, k and v, given that of the result.

    With g the gradient of the result, dP = g vᵀ and r = rowsum(P ∘ dP), the scores' is dS = P ∘ (dP − r), and the
    results are dq = scale · dS k, dk = scale · dSᵀ q, dv = Pᵀ g.
    """

    @staticmethod
    def forward(
        ctx: Any,
        gradient: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        weights: torch.Tensor,
        scale: float,
    ) -> Any:
        of_scores = _SOFTMAX_BACKWARD(gradient @ v.transpose(1, 2), weights, -1, weights.dtype)
        ctx.save_for_backward(gradient, q, k, v, weights, of_scores)
        ctx.scale = scale
        of_k = _scaled(of_scores.transpose(1, 2), q, scale)
        return _scaled(of_scores, k, scale), of_k, weights.transpose(1, 2) @ gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        to_q, to_k, to_v = gradients
        gradient, q, k, v, weights, of_scores = ctx.saved_tensors
        scale = ctx.scale
        # h, the gradient with respect to dS. With a = rowsum(P ∘ h), that of dP is P ∘ (h − a), and that of log P is
        # dS ∘ (h − a) + P ∘ (g toᵥᵀ), but for a multiple of P in each row, which the softmax takes out again.
        h = (to_q @ k.transpose(1, 2)).baddbmm_(q, to_k.transpose(1, 2), beta=scale, alpha=scale)
        of_weights = weights * h
        mean = of_weights.sum(-1, keepdim=True)
        of_weights.addcmul_(weights, mean, value=-1)
        of_log = h.sub_(mean).mul_(of_scores)
        of_log.addcmul_(weights, gradient @ to_v.transpose(1, 2))
        return (
            (weights @ to_v).baddbmm_(of_weights, v),
            _scaled(of_scores, to_k, scale),
            _scaled(of_scores.transpose(1, 2), to_q, scale),
            of_weights.transpose(1, 2) @ gradient,
            of_log,
            None,
        )


def _scaled(left: torch.Tensor, right: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.baddbmm(left.new_zeros(1, 1, 1), left, right, beta=0, alpha=scale)


def is_plain(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> bool:
    """Whether each query looks at all keys alike: no mask, no dropout, batches that need not be stretched.

    Where there is nothing to look at, it is left to torch.
    """
    alike = query.ndim > 2 and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    alike = alike and 0 not in (*query.shape, *key.shape, *value.shape)
    return alike and attn_mask is None and not dropout_p and not is_causal and not enable_gqa


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Stands for `torch.nn.functional.scaled_dot_product_attention`, where it [`is_plain`]."""
    if not is_plain(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa):
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    leading = query.shape[:-2]
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    # What is split into heads cannot be seen as one batch without a copy; made here, it serves all passes.
    flat = [each.reshape(-1, *each.shape[-2:]) for each in (query, key, value)]
    result: torch.Tensor = _Attention.apply(*flat, scale)[0]  # type: ignore[no-untyped-call]
    return result.view(*leading, *result.shape[-2:])
