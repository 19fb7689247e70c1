"""The token that a classifier reads, computed alone.

A head that reads the class token needs one row of what the last layer gives, and gradients of zero go back through all
others, in every pass. Here the operations since the last attention are noted down, and when a model picks a token they
are done again for that token alone: the same values, on a path that leaves the other tokens out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from hf_unlearn.objectives.second_order.attention import is_plain

_ROW_BY_ROW = (functional.linear, functional.layer_norm, functional.gelu, functional.dropout)
_PAIRED = (torch.Tensor.add, torch.Tensor.mul, torch.Tensor.__add__, torch.Tensor.__mul__, torch.add, torch.mul)
_RESHAPED = (torch.Tensor.view, torch.Tensor.reshape)
_ATTENTION = functional.scaled_dot_product_attention
# What only looks at a tensor, by name; attributes are got by the first.
_LOOKS = ("__get__", "size", "dim", "numel", "stride", "is_contiguous")


class _Note(NamedTuple):
    """How a tensor came about: `part(k)` is what it holds of token `k`, its dimension `dim` of length 1."""

    # Held, so that no other tensor gets its id.
    tensor: torch.Tensor
    dim: int
    part: Callable[[int], torch.Tensor]


class Tokens:
    """Notes on operations that do the same with each token, since the last one that does not.

    Args:
        run: how an operation is done.
    """

    def __init__(self, run: Callable[[Callable, tuple, dict[str, Any]], Any]) -> None:
        self._run = run
        self._notes: dict[int, _Note] = {}

    def forget(self) -> None:
        """Forget all operations."""
        self._notes = {}

    def pick(self, tensor: Any, place: Any) -> torch.Tensor | None:
        """`tensor[:, k]` or `tensor[:, k, :]`, `(batch, features)`, where it is noted how the tensor came about.

        Args:
            place: what stands in the brackets.

        Returns:
            None for another place or tensor.
        """
        note = self._notes.get(id(tensor))
        if note is None or note.dim != 1 or tensor.ndim != 3 or not isinstance(place, tuple) or len(place) < 2:
            return None
        rows, token, *rest = place
        if rows != slice(None) or type(token) is not int or any(each != slice(None) for each in rest):
            return None
        size = tensor.shape[1]
        return note.part(token % size).squeeze(1) if -size <= token < size and len(rest) < 2 else None

    def see(self, func: Callable, args: tuple, kwargs: dict[str, Any], result: Any) -> None:
        """Note an operation down. One that is not known to do the same with each token makes all be forgotten."""
        if getattr(func, "__name__", "") in _LOOKS:
            return
        note = None
        if isinstance(result, torch.Tensor) and args and isinstance(args[0], torch.Tensor):
            note = self._noted(func, args, kwargs, result)
        if note is None or func is _ATTENTION:
            self.forget()
        if note is not None:
            self._notes[id(result)] = note

    def _noted(self, func: Callable, args: tuple, kwargs: dict[str, Any], result: torch.Tensor) -> _Note | None:
        first, *rest = args
        if func is _ATTENTION:
            # With a mask, which query it is matters.
            if not is_plain(*args, **kwargs):
                return None
            dim = first.ndim - 2
            return _Note(result, dim, lambda k: self._run(func, (first.narrow(dim, k, 1), *rest), kwargs))
        of_first, dim = self._part(first)
        tokens = first.ndim == 3 and dim == 1 and result.shape[:2] == first.shape[:2]
        if func in _ROW_BY_ROW and tokens and _keeps_rows_apart(func, rest, kwargs):
            return _Note(result, 1, _once(lambda k: self._run(func, (of_first(k), *rest), kwargs)))
        if func in _PAIRED and tokens and len(rest) == 1 and not kwargs:
            (second,) = rest
            if not isinstance(second, torch.Tensor) or second.ndim < 2:
                return _Note(result, 1, _once(lambda k: func(of_first(k), second)))
            if second.shape == first.shape:
                of_second, dim_of_second = self._part(second)
                if dim_of_second == 1:
                    return _Note(result, 1, _once(lambda k: func(of_first(k), of_second(k))))
        if func in _RESHAPED and result.shape[: dim + 1] == first.shape[: dim + 1] and result.dtype == first.dtype:
            before, after = result.shape[:dim], result.shape[dim + 1 :]
            return _Note(result, dim, lambda k: of_first(k).reshape(*before, 1, *after))
        if func is torch.Tensor.contiguous:
            return _Note(result, dim, of_first)
        if func is torch.Tensor.transpose and len(rest) == 2 and min(rest) >= 0:
            moved = {rest[0]: rest[1], rest[1]: rest[0]}.get(dim, dim)
            return _Note(result, moved, lambda k: of_first(k).transpose(*rest))
        return None

    def _part(self, tensor: torch.Tensor) -> tuple[Callable[[int], torch.Tensor], int]:
        """What a tensor holds of a token, and along which dimension: without a note it is cut out of it."""
        note = self._notes.get(id(tensor))
        return (note.part, note.dim) if note is not None else (lambda k: tensor.narrow(1, k, 1), 1)


def _keeps_rows_apart(func: Callable, rest: list, kwargs: dict[str, Any]) -> bool:
    if func is functional.dropout:
        # A second time it would leave out others.
        return not (kwargs["training"] if "training" in kwargs else rest[1] if len(rest) > 1 else True)
    if func is functional.layer_norm:
        return len(kwargs["normalized_shape"] if "normalized_shape" in kwargs else rest[0]) == 1
    return True


def _once(part: Callable[[int], torch.Tensor]) -> Callable[[int], torch.Tensor]:
    """As `part`, but a token that is asked for twice is computed once."""
    done: dict[int, torch.Tensor] = {}

    def remembered(k: int) -> torch.Tensor:
        if k not in done:
            done[k] = part(k)
        return done[k]

    return remembered
