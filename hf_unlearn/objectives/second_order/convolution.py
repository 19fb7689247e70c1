"""Convolutions, alone or with the frozen BatchNorm that follows, and patch embeddings."""

from __future__ import annotations

import operator
import weakref
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from hf_unlearn.objectives.second_order.inner import of_parameters_alone, weights_wanted

_CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward
# Up to so many channels the gradient of an image is taken the other way on a CPU: see `_stem_gradient`.
_FEW_CHANNELS = 4


def pair(value: Any) -> tuple[int, int]:
    """What torch takes for one number or two."""
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))  # type: ignore[return-value]


class _Geometry(NamedTuple):
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def arguments(self) -> tuple:
        return self.stride, self.padding, self.dilation, False, (0, 0), self.groups


class _Convolution(torch.autograd.Function):
    """`known` is the result where it need not be computed."""

    @staticmethod
    def forward(ctx: Any, pixels: Any, weight: Any, bias: Any, geometry: _Geometry, known: Any) -> Any:
        ctx.save_for_backward(pixels, weight)
        ctx.geometry = geometry
        return torch.convolution(pixels, weight, bias, *geometry.arguments) if known is None else known.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        pixels, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad[0], *(each and weights_wanted() for each in ctx.needs_input_grad[1:3])
        if not torch.is_grad_enabled():
            return *_gradients(gradient, pixels, weight, ctx.geometry, needed), None, None
        of_pixels = of_weight = of_bias = None
        if needed[0]:
            of_pixels = _ConvolutionGradient.apply(gradient, weight, pixels.detach(), ctx.geometry)
        if needed[1]:
            of_weight = _gradients(gradient, pixels, weight, ctx.geometry, (False, True))[1]
        if needed[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_pixels, of_weight, of_bias, None, None


class _ConvolutionGradient(torch.autograd.Function):
    """A convolution's gradient with respect to its input. Its own derivative is a convolution and a weight gradient."""

    @staticmethod
    def forward(ctx: Any, gradient: Any, weight: Any, pixels: Any, geometry: _Geometry) -> Any:
        ctx.save_for_backward(gradient, weight)
        ctx.geometry = geometry
        if _is_strided_stem(pixels, weight, geometry):
            return _stem_gradient(gradient, weight, pixels.shape[2:], geometry.stride[0], geometry.padding[0])
        return _gradients(gradient, pixels, weight, geometry, (True,))[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (of_result,) = gradients
        gradient, weight = ctx.saved_tensors
        of_gradient = of_weight = None
        if ctx.needs_input_grad[0]:
            of_gradient = torch.convolution(of_result, weight, None, *ctx.geometry.arguments)
        if ctx.needs_input_grad[1]:
            of_weight = _gradients(gradient, of_result, weight, ctx.geometry, (False, True))[1]
        return of_gradient, of_weight, None, None


def _gradients(gradient: Any, pixels: Any, weight: Any, geometry: _Geometry, which: tuple[bool, ...]) -> Any:
    """The gradients of pixels, weight and bias, as far as they are asked for."""
    mask = [*which, False, False, False][:3]
    return _CONVOLUTION_BACKWARD(gradient, pixels, weight, [len(weight)], *geometry.arguments, mask)


def _is_strided_stem(pixels: torch.Tensor, weight: torch.Tensor, geometry: _Geometry) -> bool:
    stride, padding, dilation, groups = geometry
    square = all(len(set(each)) == 1 for each in (stride, padding, weight.shape[2:]))
    whole = all(size % stride[0] == 0 for size in pixels.shape[2:])
    few = pixels.shape[1] <= _FEW_CHANNELS and pixels.device.type == "cpu"
    return few and square and whole and stride[0] > 1 and groups == 1 and dilation == (1, 1)


def _stem_gradient(
    gradient: torch.Tensor, weight: torch.Tensor, size: torch.Size, stride: int, padding: int
) -> torch.Tensor:
    """A strided convolution's gradient with respect to an image of `size`, with its sides multiples of the stride.

    With three channels to find, the usual way leaves most of a processor idle. The pixels at one place within the
    stride are a convolution of the gradient with every stride-th weight: here all places are found by one convolution,
    whose channels are then put where they belong.
    """
    kernel = weight.shape[2]
    lowest, highest = -((kernel - 1 - padding) // stride), (stride - 1 + padding) // stride
    offsets = torch.arange(lowest, highest + 1)
    taps = torch.arange(stride).unsqueeze(1) + padding - stride * offsets
    # Beyond the kernel its weights are 0.
    taps = torch.where((taps < 0) | (taps >= kernel), kernel, taps)
    parts = functional.pad(weight, (0, 1, 0, 1))[:, :, taps][:, :, :, :, taps].permute(1, 2, 4, 0, 3, 5)
    parts = parts.reshape(-1, len(weight), len(offsets), len(offsets))
    rows, columns = (length // stride for length in size)
    room = max(0, -lowest, highest + rows - gradient.shape[2], highest + columns - gradient.shape[3])
    found = functional.conv2d(gradient, parts, padding=room)
    start = room + lowest
    return functional.pixel_shuffle(found[:, :, start : start + rows, start : start + columns], stride)


def _patches(pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A convolution whose steps are as long as its kernel is wide, as a product of matrices."""
    batch, channels, height, width = pixels.shape
    high, wide = weight.shape[2:]
    rows, columns = height // high, width // wide
    patches = pixels[:, :, : rows * high, : columns * wide].reshape(batch, channels, rows, high, columns, wide)
    patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * high * wide)
    return (
        functional.linear(patches, weight.flatten(1), bias).transpose(1, 2).reshape(batch, len(weight), rows, columns)
    )


class ConvolutionAndNorm:
    """Stands for `conv2d` and for `batch_norm` with running statistics.

    A BatchNorm that takes just what the convolution before it gave becomes part of it: the result's gradient is that of
    a convolution with scaled weights, and what lies between the two is not kept.
    """

    def __init__(self) -> None:
        self._latest: tuple[weakref.ref, tuple] | None = None

    def forget(self) -> None:
        """Let go of the latest convolution."""
        self._latest = None

    def conv2d(
        self,
        input: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        """Stands for `torch.nn.functional.conv2d`."""
        if isinstance(padding, str) or input.ndim != 4 or not of_parameters_alone(weight, bias):
            return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)
        geometry = _Geometry(pair(stride), pair(padding), pair(dilation), groups)
        if torch.is_autocast_enabled(input.device.type):
            dtype = torch.get_autocast_dtype(input.device.type)
            input, weight, bias = input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        kernel = tuple(weight.shape[2:])
        fits = all(map(operator.le, kernel, input.shape[2:]))
        if geometry == (kernel, (0, 0), (1, 1), 1) and kernel != (1, 1) and fits:
            return _patches(input, weight, bias)
        result = _Convolution.apply(input, weight, bias, geometry, None)
        self._latest = (weakref.ref(result), (input, weight, bias, geometry))
        return result

    def batch_norm(
        self,
        input: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Any:
        """Stands for `torch.nn.functional.batch_norm`."""
        latest, self._latest = self._latest, None
        if training or running_mean is None or running_var is None or input.ndim < 2:
            return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        scale = torch.rsqrt(running_var + eps)
        scale = scale if weight is None else scale * weight
        shift = -running_mean * scale if bias is None else bias - running_mean * scale
        directly = latest is not None and latest[0]() is input and not input._version
        if latest is not None and directly and input.dtype == scale.dtype and of_parameters_alone(weight, bias):
            with torch.no_grad():
                result = functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
            pixels, kernel, offset, geometry = latest[1]
            shift = shift if offset is None else shift + offset * scale
            return _Convolution.apply(pixels, kernel * scale.view(-1, 1, 1, 1), shift, geometry, result)
        shape = (1, -1, *[1] * (input.ndim - 2))
        return torch.addcmul(shift.view(shape).to(input.dtype), input, scale.view(shape).to(input.dtype))
