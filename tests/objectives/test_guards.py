"""The guard against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import shifted_divergence

LABELS = torch.tensor([0, 2])
OWN = torch.nn.functional.one_hot(LABELS, 4).bool()
FIRST = torch.tensor([[True, False, False]])
seeds = st.integers(0, 1000)
shifts = st.one_of(st.floats(0, 30), st.just(math.inf))


def logits_of(seed, classes=4):
    return torch.randn(2, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand():
    # q: 4 of 4 + 3 + 1 lowered by log 4 is 1 of 5; p is uniform.
    original, current = torch.tensor([[math.log(4.0), math.log(3.0), 0.0]]), torch.zeros(1, 3)
    q = [1 / 5, 3 / 5, 1 / 5]
    expected = sum(share * math.log(3 * share) for share in q)
    assert shifted_divergence(current, original, FIRST, math.log(4)).item() == pytest.approx(expected, rel=1e-5)


@given(seed=seeds)
def test_an_infinite_shift_is_masked_distillation(seed):
    original, current = logits_of(seed), logits_of(seed + 1)
    masked = original.scatter(1, LABELS.unsqueeze(1), float("-inf")).softmax(1)
    distillation = torch.nn.functional.kl_div(current.log_softmax(1), masked, reduction="none").sum(1)
    torch.testing.assert_close(shifted_divergence(current, original, OWN, math.inf), distillation)


@given(seed=seeds, shift=shifts)
def test_at_least_zero_and_zero_only_at_the_target(seed, shift):
    original = logits_of(seed)
    assert (shifted_divergence(logits_of(seed + 1), original, OWN, shift) > 0).all()
    there = original - min(shift, 1e4) * torch.nn.functional.one_hot(LABELS, 4)
    torch.testing.assert_close(shifted_divergence(there, original, OWN, shift), torch.zeros(2).double())


@given(seed=seeds, shift=shifts, move=st.floats(-50, 50))
def test_the_level_of_all_logits_together_does_not_count(seed, shift, move):
    original, current = logits_of(seed), logits_of(seed + 1)
    torch.testing.assert_close(
        shifted_divergence(current + move, original - move, OWN, shift),
        shifted_divergence(current, original, OWN, shift),
    )


@given(shift=shifts)
def test_finite_with_a_finite_gradient_for_a_model_that_is_sure(shift):
    current = torch.tensor([[300.0, 0.0, -300.0]], requires_grad=True)
    loss = shifted_divergence(current, torch.tensor([[300.0, 0.0, -300.0]]), FIRST, shift).sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(current.grad).all()


@pytest.mark.parametrize("shift", [-1.0, float("nan")])
def test_a_shift_that_is_none(shift):
    with pytest.raises(ValueError, match="expected 0 or more"):
        shifted_divergence(torch.zeros(2, 3), torch.zeros(2, 3), OWN, shift)


def test_several_classes_that_go_leave_what_is_left():
    # Of 5, 4, 1 and 0 without the first two: q = (0, 0, e/(1 + e), 1/(1 + e)).
    original = torch.tensor([[5.0, 4.0, 1.0, 0.0]])
    both = torch.tensor([[True, True, False, False]])
    there = torch.tensor([[-1e4, -1e4, 1.0, 0.0]])
    torch.testing.assert_close(shifted_divergence(there, original, both, math.inf), torch.zeros(1))
    assert shifted_divergence(original, original, both, math.inf).item() == pytest.approx(
        math.log((math.exp(5) + math.exp(4) + math.e + 1) / (math.e + 1)), rel=1e-5
    )
