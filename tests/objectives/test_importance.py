"""Masks and factors: which weights, and how much."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import dampening_factors, l1_norm, saliency_mask


def test_the_largest_gradients_of_all_weights_together_are_salient():
    mask = saliency_mask({"a": torch.tensor([[0.1, -5.0], [0.0, 1.0]]), "b": torch.tensor([-2.0, 0.2])}, 0.5)
    assert mask["a"].tolist() == [[False, True], [False, True]] and mask["b"].tolist() == [True, False]


@given(share=st.floats(0, 1), seed=st.integers(0, 50))
def test_exactly_that_share_is_salient_with_ties_too(share, seed):
    generator = torch.Generator().manual_seed(seed)
    gradients = {"a": torch.randint(-2, 3, (7, 3), generator=generator).float(), "b": torch.zeros(5)}
    mask = saliency_mask(gradients, share)
    assert sum(int(part.sum()) for part in mask.values()) == round(26 * share)


def test_a_share_out_of_range():
    with pytest.raises(ValueError, match="share is 1.5"):
        saliency_mask({"a": torch.ones(2)}, 1.5)


def test_dampening_by_hand():
    # alpha 10, lambda 1: only the third and fourth matter more than ten times as much to the forget set; at exactly
    # ten times a weight is left alone.
    everything = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 2.0])
    forget = torch.tensor([5.0, 10.0, 20.0, 3.0, 0.0, 0.0])
    assert dampening_factors(forget, everything, 10.0, 1.0).tolist() == pytest.approx([1, 1, 0.05, 0, 1, 1])
    # lambda scales the ratio, and no weight grows.
    assert dampening_factors(forget, everything, 10.0, 4.0).tolist() == pytest.approx([1, 1, 0.2, 0, 1, 1])
    assert dampening_factors(forget, everything, 10.0, 40.0).tolist() == pytest.approx([1, 1, 1, 0, 1, 1])


def test_l1_norm_and_its_gradient():
    weight, frozen = torch.tensor([1.0, -2.0, 0.0], requires_grad=True), torch.tensor([9.0])
    norm = l1_norm([weight, frozen])
    assert norm.item() == 3.0
    norm.backward()
    assert weight.grad.tolist() == [1.0, -1.0, 0.0]
