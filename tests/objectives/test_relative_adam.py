"""Steps in Adam's direction, of a length that the weights say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import RelativeAdam


def weights(scale: float = 1.0) -> list[torch.nn.Parameter]:
    draws = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(scale * torch.randn(shape, generator=draws)) for shape in ((4, 3), (5,))]


def norm(tensors) -> float:
    return float(torch.cat([each.detach().flatten() for each in tensors]).norm())


@given(lr=st.floats(1e-4, 0.1), scale=st.floats(1e-6, 1e6))
def test_a_step_is_a_fraction_of_the_weights_whatever_the_gradients_scale(lr, scale):
    parameters = weights()
    before = [each.detach().clone() for each in parameters]
    optimizer = RelativeAdam(parameters, lr=lr)
    for each in parameters:
        each.grad = scale * torch.ones_like(each)
    optimizer.step()
    moved = norm([each - old for each, old in zip(parameters, before, strict=True)])
    assert moved == pytest.approx(lr * norm(before), rel=1e-3)


def test_the_direction_is_adams():
    ours, theirs = weights(), weights()
    optimizers = RelativeAdam(ours, lr=1e-3), torch.optim.Adam(theirs, lr=1e-3, eps=0.0)
    for step in range(5):
        draws = torch.Generator().manual_seed(step)
        before = [[each.detach().clone() for each in group] for group in (ours, theirs)]
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=draws)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        moves = [
            torch.cat([(now - old).detach().flatten() for now, old in zip(group, start, strict=True)])
            for group, start in zip((ours, theirs), before, strict=True)
        ]
        assert float(torch.cosine_similarity(*moves, dim=0)) == pytest.approx(1.0, abs=1e-3)


def test_without_a_gradient_nothing_moves():
    parameters = weights()
    before = [each.detach().clone() for each in parameters]
    optimizer = RelativeAdam(parameters, lr=0.1)
    optimizer.step()
    for each in parameters:
        each.grad = torch.zeros_like(each)
    optimizer.step()
    assert all(torch.equal(each, old) for each, old in zip(parameters, before, strict=True))


def test_a_group_with_a_scale_moves_so_much_more():
    (one, other) = weights()
    optimizer = RelativeAdam([{"params": [one], "scale": 3.0}, {"params": [other]}], lr=1e-2)
    before = one.detach().clone(), other.detach().clone()
    for each in (one, other):
        each.grad = torch.ones_like(each)
    optimizer.step()
    moved = [float((now.detach() - old).abs().mean()) for now, old in zip((one, other), before, strict=True)]
    assert moved[0] == pytest.approx(3 * moved[1], rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_goes_on_from_its_state(dtype):
    whole, parts = ([torch.nn.Parameter(each.detach().to(dtype)) for each in weights()] for _ in range(2))
    optimizer = RelativeAdam(whole, lr=1e-2)
    half = RelativeAdam(parts, lr=1e-2)
    for step in range(4):
        if step == 2:
            saved, half = half.state_dict(), RelativeAdam(parts, lr=1e-2)
            half.load_state_dict(saved)
        draws = torch.Generator().manual_seed(step)
        for one, other in zip(whole, parts, strict=True):
            one.grad = torch.randn(one.shape, generator=draws).to(dtype)
            other.grad = one.grad.clone()
        optimizer.step()
        half.step()
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_a_rate_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="lr is 0"):
        RelativeAdam(weights(), lr=0)
