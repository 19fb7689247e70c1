"""The inner pass: gradients with respect to the input, which are differentiated again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

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
