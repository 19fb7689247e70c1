"""Labels that are put in the place of the sample's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import RandomLabels, label_loss, nearest_other_class


def test_label_loss_by_hand():
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    assert label_loss(logits, torch.tensor([0, 1])).tolist() == pytest.approx([-math.log(0.75), math.log(2)])
    assert label_loss(logits.bfloat16(), torch.tensor([0, 1])).dtype == torch.float32


@given(seed=st.integers(0, 1000), num_labels=st.integers(2, 12))
def test_random_labels_are_wrong_ones_and_the_seeds(seed, num_labels):
    labels = torch.arange(60) % num_labels
    drawn = RandomLabels(60, num_labels, seed).of(labels, torch.arange(60))
    assert (drawn != labels).all() and drawn.min() >= 0 and drawn.max() < num_labels
    some = torch.tensor([40, 3, 7])
    assert torch.equal(RandomLabels(60, num_labels, seed).of(labels[some], some), drawn[some])


def test_another_seed_draws_other_labels():
    labels = torch.zeros(60, dtype=torch.long)
    first, second = (RandomLabels(60, 10, seed).of(labels, torch.arange(60)) for seed in (0, 1))
    assert not torch.equal(first, second) and len(first.unique()) > 5


def linear(weight, bias):
    return lambda inputs: inputs @ torch.tensor(weight).T + torch.tensor(bias)


def test_the_nearest_class_is_the_one_across_the_boundary():
    # f = (x, 0.2, -x) at x = 1 says (1, 0.2, -1): the likeliest other class is 1. The gradient of the cross-entropy of
    # class 0 is negative, so the step of 2 goes to x = -1, where f = (-1, 0.2, 1): the class across is 2.
    answer = linear([[1.0], [0.0], [-1.0]], [0.0, 0.2, 0.0])
    label = torch.tensor([0])
    assert nearest_other_class(answer, torch.tensor([[1.0]]), label, bound=2.0).tolist() == [2]
    # A step that does not get there leaves the likeliest other class, and never the own one.
    assert nearest_other_class(answer, torch.tensor([[1.0]]), label, bound=0.1).tolist() == [1]


def test_it_is_never_the_own_class():
    answer = linear(torch.randn(5, 3).tolist(), [0.0] * 5)
    labels = torch.arange(40) % 5
    nearest = nearest_other_class(answer, torch.randn(40, 3), labels, bound=0.05)
    assert (nearest != labels).all() and nearest.dtype == torch.long
