"""Steps measured against the weights: their length, and what they do not depend on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import RelativeSGD


def _parameters(scale: float = 1.0, gradient_scale: float = 1.0) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(scale * torch.randn(n, generator=generator).double()) for n in (3, 5)]
    for parameter in parameters:
        parameter.grad = gradient_scale * torch.randn(parameter.shape, generator=generator).double()
    return parameters


def _vector(parameters) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


@given(lr=st.floats(1e-5, 0.5), gradient_scale=st.floats(1e-12, 1e12))
def test_length_is_a_fraction_of_the_weights_whatever_the_gradient(lr, gradient_scale):
    parameters = _parameters(gradient_scale=gradient_scale)
    before = _vector(parameters)
    RelativeSGD(parameters, lr=lr).step()
    moved = _vector(parameters) - before
    assert moved.norm().item() == pytest.approx(lr * before.norm().item(), rel=1e-5)
    gradient = torch.cat([parameter.grad.flatten() for parameter in parameters])
    torch.testing.assert_close(moved / moved.norm(), -gradient / gradient.norm())


def test_no_gradient_no_step():
    parameters = _parameters(gradient_scale=0.0)
    before = _vector(parameters)
    RelativeSGD(parameters, lr=0.1).step()
    assert torch.equal(_vector(parameters), before)


def test_parameters_without_gradient_stay_and_do_not_count():
    parameters = _parameters()
    frozen = torch.nn.Parameter(torch.full((4,), 1e6).double())
    before = _vector(parameters)
    RelativeSGD([*parameters, frozen], lr=0.1).step()
    assert (frozen == 1e6).all()
    assert (_vector(parameters) - before).norm().item() == pytest.approx(0.1 * before.norm().item(), rel=1e-5)


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_not_positive_is_refused(lr):
    with pytest.raises(ValueError, match="above 0"):
        RelativeSGD(_parameters(), lr=lr)
