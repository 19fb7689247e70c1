"""The objectives on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import difference_loss, log_ratio_loss, matched_loss

TARGET, IRRELEVANT = torch.tensor([4.0, 9.0]), torch.tensor([1.0, 3.0])
positive = st.floats(1e-3, 1e3)


def test_difference_is_the_papers():
    assert difference_loss(TARGET, IRRELEVANT).tolist() == [3.0, 6.0]


def test_difference_with_weights():
    assert difference_loss(TARGET, IRRELEVANT, alpha_target=0.5, alpha_irrelevant=2.0).tolist() == [0.0, -1.5]


def test_target_only_and_irrelevant_only_are_weights_of_zero():
    assert difference_loss(TARGET, IRRELEVANT, alpha_irrelevant=0).tolist() == [4.0, 9.0]
    assert difference_loss(TARGET, IRRELEVANT, alpha_target=0).tolist() == [-1.0, -3.0]


def test_log_ratio():
    torch.testing.assert_close(log_ratio_loss(TARGET, IRRELEVANT), torch.tensor([math.log(4), math.log(3)]))


@given(target=positive, irrelevant=positive, scale=positive)
def test_log_ratio_does_not_depend_on_scale(target, irrelevant, scale):
    target, irrelevant = torch.tensor([target]).double(), torch.tensor([irrelevant]).double()
    torch.testing.assert_close(log_ratio_loss(target * scale, irrelevant * scale), log_ratio_loss(target, irrelevant))


def test_log_ratio_of_a_logit_without_gradient_is_finite():
    zero = torch.zeros(1, requires_grad=True)
    loss = log_ratio_loss(zero, torch.ones(1)).sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(zero.grad).all()


def test_matched_by_hand():
    torch.testing.assert_close(matched_loss(TARGET, 4.0), torch.tensor([0.0, math.log(9 / 4) ** 2]))


@given(target=positive, level=positive, scale=positive)
def test_matched_is_bounded_below_and_does_not_depend_on_scale(target, level, scale):
    target = torch.tensor([target]).double()
    loss = matched_loss(target, level)
    assert loss >= 0
    torch.testing.assert_close(matched_loss(target * scale, level * scale), loss, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("level", [0.0, -1.0, float("nan")])
def test_a_level_that_is_none(level):
    with pytest.raises(ValueError, match="above 0"):
        matched_loss(TARGET, level)
