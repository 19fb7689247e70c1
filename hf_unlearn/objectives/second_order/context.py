"""The contexts in which a forward pass can be differentiated twice, or once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from hf_unlearn.objectives.second_order.attention import scaled_dot_product_attention
from hf_unlearn.objectives.second_order.convolution import ConvolutionAndNorm
from hf_unlearn.objectives.second_order.piecewise import max_pool2d, relu, relu6
from hf_unlearn.objectives.second_order.smooth import gelu, layer_norm
from hf_unlearn.objectives.second_order.tokens import Tokens

_EVERY_KERNEL = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.MATH,
]
# Their derivatives are written for one precision throughout; differentiated once, torch's own are as good.
_SMOOTH = (gelu, layer_norm, scaled_dot_product_attention)
_once = False


@contextlib.contextmanager
def double_backward(fast: bool = True) -> Iterator[None]:
    """A context in which a forward pass, and the gradients of its logits, can be differentiated twice.

    Fused attention kernels (flash, memory-efficient, and the CPU one) have no second derivative; the math kernel has
    one. Convolutions, frozen BatchNorm, LayerNorm, ReLU, GELU, max-pooling and attention run as the operations of this
    package, and a token that the model picks out is computed alone once more. The context must enclose the forward pass
    whose logits are given to [`squared_input_sensitivities`], for any model, with the attention that `from_pretrained`
    chose.

    Args:
        fast: with the operations of this package. Otherwise it is the textbook's: torch's own operations, attention by
            its math kernel. Both give the same gradients up to rounding, so this tells where a fault lies.
    """
    with sdpa_kernel([SDPBackend.MATH]), Operations() if fast else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def single_backward() -> Iterator[None]:
    """Within [`double_backward`]: a forward pass that is differentiated once, with fused attention again."""
    global _once
    before, _once = _once, True
    try:
        with sdpa_kernel(_EVERY_KERNEL):
            yield
    finally:
        _once = before


class Operations(TorchFunctionMode):
    """Puts the operations of this package in the place of torch's, where a gradient can be taken."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs = ConvolutionAndNorm()
        self._tokens = Tokens(self._run)
        self._instead: dict[Callable, Callable] = {
            functional.conv2d: self._pairs.conv2d,
            torch.conv2d: self._pairs.conv2d,
            functional.batch_norm: self._pairs.batch_norm,
            functional.relu: relu,
            torch.relu: relu,
            functional.relu6: relu6,
            functional.max_pool2d: max_pool2d,
            functional.gelu: gelu,
            functional.layer_norm: layer_norm,
            functional.scaled_dot_product_attention: scaled_dot_product_attention,
        }

    def __exit__(self, *exception: Any) -> None:
        self._pairs.forget()
        self._tokens.forget()
        super().__exit__(*exception)

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled():
            # It may change in place what was noted down.
            self._tokens.forget()
            return func(*args, **kwargs)
        if func is torch.Tensor.__getitem__:
            picked = self._tokens.pick(*args)
            if picked is not None:
                return picked
        result = self._run(func, args, kwargs)
        self._tokens.see(func, args, kwargs, result)
        return result

    def _run(self, func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        instead = self._instead.get(func)
        if instead is None or (instead in _SMOOTH and (_once or not _is_whole(args))):
            return func(*args, **kwargs)
        return instead(*args, **kwargs)


def _is_whole(args: tuple) -> bool:
    first = args[0] if args else None
    if not isinstance(first, torch.Tensor) or first.dtype not in (torch.float32, torch.float64):
        return False
    return not torch.is_autocast_enabled(first.device.type)
