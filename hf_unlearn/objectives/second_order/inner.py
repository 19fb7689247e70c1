"""The inner pass: gradients with respect to the input, which are differentiated again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

# A weight made of parameters (standardised, adapted) has a history of a few operations.
_LONGEST_HISTORY = 32
# Autograd does not tell an operation which of its gradients will be used. On a GPU it calls it from a thread of its
# own, hence no context variable.
_input_only = False


@contextlib.contextmanager
def input_gradients() -> Iterator[None]:
    """A context for `torch.autograd.grad` with respect to the input alone: no weight's gradient is worked out."""
    global _input_only
    before, _input_only = _input_only, True
    try:
        yield
    finally:
        _input_only = before


def weights_wanted() -> bool:
    """Whether the backward pass going on may be asked for gradients of weights."""
    return not _input_only


def of_parameters_alone(*weights: torch.Tensor | None) -> bool:
    """Whether no weight can depend on the input: its gradient would then be needed in the inner pass."""
    seen, waiting = 0, [weight.grad_fn for weight in weights if weight is not None and weight.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        seen += 1
        variable = getattr(node, "variable", None)
        if seen > _LONGEST_HISTORY or (variable is not None and not isinstance(variable, torch.nn.Parameter)):
            return False
        waiting += [before for before, _ in node.next_functions if before is not None]
    return True
