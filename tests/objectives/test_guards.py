"""The guard terms against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives.guards import anchor_loss, level_loss

LABELS = torch.tensor([0, 2])
seeds = st.integers(0, 1000)


def logits_of(seed, classes=4):
    return torch.randn(2, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_level_by_hand():
    # p = (1/2, 1/4, 1/4): −log(1 − 1/2).
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]])
    assert level_loss(logits, torch.tensor([0])).item() == pytest.approx(math.log(2))


@given(seed=seeds)
def test_level_is_not_negative_and_falls_with_the_own_logit(seed):
    logits = logits_of(seed)
    lower = logits - torch.nn.functional.one_hot(LABELS, 4)
    assert (level_loss(logits, LABELS) > 0).all()
    assert (level_loss(lower, LABELS) < level_loss(logits, LABELS)).all()


def test_level_is_finite_for_a_model_that_is_sure():
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = level_loss(logits, torch.tensor([0])).sum()
    loss.backward()
    assert loss.item() == pytest.approx(200 - math.log(2), rel=1e-4) and torch.isfinite(logits.grad).all()


def test_anchor_by_hand():
    # Over the other two classes: q = (3/4, 1/4), r = (1/2, 1/2).
    original, current = torch.tensor([[5.0, math.log(3.0), 0.0]]), torch.tensor([[-7.0, 1.0, 1.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert anchor_loss(current, original, torch.tensor([0])).item() == pytest.approx(expected, rel=1e-5)


@given(seed=seeds, shift=st.floats(-20, 20))
def test_anchor_does_not_see_the_own_class(seed, shift):
    original, current = logits_of(seed), logits_of(seed + 1)
    moved = current + shift * torch.nn.functional.one_hot(LABELS, 4)
    torch.testing.assert_close(anchor_loss(moved, original, LABELS), anchor_loss(current, original, LABELS))


@given(seed=seeds)
def test_anchor_is_zero_only_where_nothing_changed(seed):
    original = logits_of(seed)
    torch.testing.assert_close(anchor_loss(original, original, LABELS), torch.zeros(2).double(), atol=1e-6, rtol=0)
    assert (anchor_loss(logits_of(seed + 1), original, LABELS) > 0).all()


@given(seed=seeds)
def test_level_and_anchor_make_masked_distillation(seed):
    original, current = logits_of(seed), logits_of(seed + 1)
    masked = original.scatter(1, LABELS.unsqueeze(1), float("-inf")).softmax(1)
    distillation = torch.nn.functional.kl_div(current.log_softmax(1), masked, reduction="none").sum(1)
    both = level_loss(current, LABELS) + anchor_loss(current, original, LABELS)
    torch.testing.assert_close(both.double(), distillation, rtol=1e-4, atol=1e-5)


def test_anchor_has_a_finite_gradient():
    current = logits_of(0).float().requires_grad_()
    anchor_loss(current, logits_of(1).float(), LABELS).sum().backward()
    assert torch.isfinite(current.grad).all() and current.grad.abs().sum() > 0
    assert (current.grad.gather(1, LABELS.unsqueeze(1)) == 0).all()
