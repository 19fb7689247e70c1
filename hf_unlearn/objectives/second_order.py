"""Operations whose gradient can be differentiated again, cheaply: what a forward pass uses inside [`double_backward`].

Autograd's own double backward is right, but does work that comes to nothing: through the kinks of piecewise-linear
operations it sends gradients of zero back through the whole forward pass (two of the nine forward passes that such a
step then costs), and it takes a convolution's weight gradient by a convolution whose kernel is as large as the image.
The operations here give the same values and the same derivatives, up to rounding.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward
_POOL_BACKWARD = torch.ops.aten.max_pool2d_with_indices_backward

# While the gradient with respect to the input is taken, nobody asks for those of weights.
_input_only = False


@contextlib.contextmanager
def double_backward() -> Iterator[None]:
    """A context in which a forward pass, and the gradients of its logits, can be differentiated twice.

    Fused attention kernels (flash, memory-efficient, and the CPU one) have no second derivative; the math kernel has
    one. Convolutions, frozen BatchNorm, ReLU and max-pooling run as the operations of this module. The context must
    enclose the forward pass whose logits are given to [`squared_input_sensitivities`], for any model, with the
    attention that `from_pretrained` chose.
    """
    with sdpa_kernel([SDPBackend.MATH]), _Operations():
        yield


@contextlib.contextmanager
def input_gradients() -> Iterator[None]:
    """A context for `torch.autograd.grad` with respect to the input alone: no weight's gradient is worked out."""
    global _input_only
    before, _input_only = _input_only, True
    try:
        yield
    finally:
        _input_only = before


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, how: tuple) -> Any:
        ctx.save_for_backward(pixels, weight)
        ctx.how = how
        return torch.convolution(pixels, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        pixels, weight = ctx.saved_tensors
        of_pixels = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_pixels = _ConvolutionGradient.apply(gradient, weight, pixels.detach(), ctx.how)
        if ctx.needs_input_grad[1] and not _input_only:
            of_weight = _convolution_backward(gradient, pixels, weight, ctx.how, 1)
        if ctx.needs_input_grad[2] and not _input_only:
            of_bias = gradient.sum((0, *range(2, gradient.ndim)))
        return of_pixels, of_weight, of_bias, None


class _ConvolutionGradient(torch.autograd.Function):
    """A convolution's gradient with respect to its input. Its own derivative is a convolution and a weight gradient."""

    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, weight: torch.Tensor, pixels: torch.Tensor, how: tuple) -> Any:
        ctx.save_for_backward(gradient, weight)
        ctx.how = how
        return _convolution_backward(gradient, pixels, weight, how, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (of_result,) = gradients
        gradient, weight = ctx.saved_tensors
        of_gradient = of_weight = None
        if ctx.needs_input_grad[0]:
            of_gradient = torch.convolution(of_result, weight, None, *ctx.how)
        if ctx.needs_input_grad[1]:
            of_weight = _convolution_backward(gradient, of_result, weight, ctx.how, 1)
        return of_gradient, of_weight, None, None


def _convolution_backward(
    gradient: torch.Tensor, pixels: torch.Tensor, weight: torch.Tensor, how: tuple, which: int
) -> torch.Tensor:
    mask = [position == which for position in range(3)]
    return _CONVOLUTION_BACKWARD(gradient, pixels, weight, None, *how, mask)[which]


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, least: float, most: float) -> Any:
        result = values.clamp(least, most)
        ctx.save_for_backward((result > least) & (result < most))
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (mask,) = ctx.saved_tensors
        # The mask has no derivative: nothing goes back through the forward pass.
        return gradients[0] * mask, None, None


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> Any:
        result = values.clamp_min(0)
        ctx.save_for_backward(result > 0)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (mask,) = ctx.saved_tensors
        return gradients[0] * mask


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
            return torch.ops.aten.gelu_backward(gradients[0], values)
        # Worked out once for all logits whose gradients are taken, and gone back through once.
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
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (values,) = ctx.saved_tensors
        squared = values.square()
        density = squared.mul(-0.5).exp_().mul_(1 / math.sqrt(2 * math.pi))
        return squared.neg_().add_(2).mul_(density).mul_(gradients[0])


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, how: tuple
    ) -> Any:
        result, mean, rstd = torch.native_layer_norm(values, how[0], weight, bias, how[1])
        ctx.save_for_backward(values, mean, rstd, weight)
        ctx.size, ctx.eps = how
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        values, mean, rstd, weight = ctx.saved_tensors
        (gradient,) = gradients
        if not torch.is_grad_enabled():
            mask = [bool(needed) for needed in ctx.needs_input_grad[:3]]
            found = torch.ops.aten.native_layer_norm_backward(
                gradient, values, list(ctx.size), mean, rstd, weight, weight, mask
            )
            return *found, None
        of_values = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_values = _LayerNormGradient.apply(gradient, values, weight, mean, rstd, ctx.size)
        if not _input_only:
            leading = tuple(range(gradient.ndim - len(ctx.size)))
            if ctx.needs_input_grad[1]:
                of_weight = (gradient * functional.layer_norm(values, ctx.size, eps=ctx.eps)).sum(leading)
            if ctx.needs_input_grad[2]:
                of_bias = gradient.sum(leading)
        return of_values, of_weight, of_bias, None


class _LayerNormGradient(torch.autograd.Function):
    """P(γ g), with P(v) = r (v − mean v − x̂ mean(v x̂)), x̂ = (x − m) r the normalised values, r = 1/deviation."""

    @staticmethod
    def forward(
        ctx: Any,
        gradient: torch.Tensor,
        values: torch.Tensor,
        weight: torch.Tensor | None,
        mean: torch.Tensor,
        rstd: torch.Tensor,
        size: tuple,
    ) -> Any:
        ctx.save_for_backward(gradient, values, weight, mean, rstd)
        ctx.size = size
        mask = [True, False, False]
        return torch.ops.aten.native_layer_norm_backward(
            gradient, values, list(size), mean, rstd, weight, weight, mask
        )[0]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (of_result,) = gradients
        gradient, values, weight, mean, rstd = ctx.saved_tensors
        size = list(ctx.size)
        over = tuple(range(-len(size), 0))
        no_affine = [True, False, False]
        # P is symmetric: the same operation as in the forward pass, without the affine part.
        projected = torch.ops.aten.native_layer_norm_backward(
            of_result, values, size, mean, rstd, None, None, no_affine
        )[0]
        of_weight = None
        if weight is not None and ctx.needs_input_grad[2]:
            of_weight = (gradient * projected).sum(tuple(range(gradient.ndim - len(size))))
        scaled = gradient if weight is None else gradient * weight
        normal = (values - mean).mul_(rstd)
        products = of_result * scaled
        both = products.mean(over, True) - of_result.mean(over, True) * scaled.mean(over, True)
        one = products.copy_(of_result).mul_(normal).mean(over, True)
        other = products.copy_(scaled).mul_(normal).mean(over, True)
        inner = torch.mul(of_result, other).addcmul_(scaled, one).mul_(rstd).neg_()
        of_values = torch.ops.aten.native_layer_norm_backward(inner, values, size, mean, rstd, None, None, no_affine)[0]
        of_values.addcmul_(normal, (both - one * other) * rstd.square(), value=-1)
        of_gradient = projected if weight is None else projected * weight
        return of_gradient, of_values, of_weight, None, None, None


def _gelu(input: torch.Tensor, approximate: str = "none") -> Any:
    return _Gelu.apply(input) if approximate == "none" else functional.gelu(input, approximate=approximate)


def _layer_norm(
    input: torch.Tensor,
    normalized_shape: Any,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    if input.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(input.device.type):
        return functional.layer_norm(input, normalized_shape, weight, bias, eps)
    return _LayerNorm.apply(input, weight, bias, (tuple(normalized_shape), eps))


def _patches(pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A convolution whose steps are as long as its kernel is wide, as a product of matrices."""
    batch, channels, height, width = pixels.shape
    high, wide = weight.shape[2:]
    rows, columns = height // high, width // wide
    patches = pixels[:, :, : rows * high, : columns * wide].reshape(batch, channels, rows, high, columns, wide)
    patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * high * wide)
    return functional.linear(patches, weight.flatten(1), bias).transpose(1, 2).reshape(batch, -1, rows, columns)


def _conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    if isinstance(padding, str) or input.ndim != 4:
        return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
    how = (_pair(stride), _pair(padding), _pair(dilation), False, (0, 0), groups)
    if torch.is_autocast_enabled(input.device.type):
        dtype = torch.get_autocast_dtype(input.device.type)
        input, weight, bias = input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    if how == (tuple(weight.shape[2:]), (0, 0), (1, 1), False, (0, 0), 1) and how[0] != (1, 1):
        return _patches(input, weight, bias)
    return _Convolution.apply(input, weight, bias, how)


def _batch_norm(
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    if training or running_mean is None or running_var is None:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    scale = torch.rsqrt(running_var + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    shift = shift if bias is None else shift + bias
    shape = (1, -1, *[1] * (input.ndim - 2))
    return torch.addcmul(shift.view(shape).to(input.dtype), input, scale.view(shape).to(input.dtype))


def _relu(input: torch.Tensor, inplace: bool = False) -> Any:
    return _Relu.apply(input)


def _relu6(input: torch.Tensor, inplace: bool = False) -> Any:
    return _Clamp.apply(input, 0.0, 6.0)


def _max_pool2d(
    input: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    if return_indices:
        return functional.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    kernel = _pair(kernel_size)
    return _MaxPool.apply(
        input, (kernel, _pair(stride) if stride else kernel, _pair(padding), _pair(dilation), ceil_mode)
    )


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)  # type: ignore[return-value]


class _Operations(TorchFunctionMode):
    """Puts the operations above in the place of torch's, for tensors that a gradient is taken of."""

    _instead: dict[Callable, Callable] = {
        functional.conv2d: _conv2d,
        torch.conv2d: _conv2d,
        functional.batch_norm: _batch_norm,
        functional.relu: _relu,
        torch.relu: _relu,
        functional.relu6: _relu6,
        functional.max_pool2d: _max_pool2d,
        functional.gelu: _gelu,
        functional.layer_norm: _layer_norm,
    }

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        instead = self._instead.get(func)
        if instead is not None and torch.is_grad_enabled():
            return instead(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


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
