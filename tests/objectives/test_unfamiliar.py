"""Targets of whole classes: what the original makes of unfamiliar inputs, dealt out to the samples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives.unfamiliar import UnfamiliarBank, untaught_row, without

seeds = st.integers(0, 2**31)


def make_bank(draws: torch.Generator, size: int, labels: int, gone: list[int]) -> UnfamiliarBank:
    logits = 3 * torch.randn(size, labels, generator=draws)
    return UnfamiliarBank.of(torch.randn(size, 7, generator=draws), logits, torch.tensor(gone))


@given(seed=seeds, labels=st.integers(3, 9), gone=st.integers(1, 2))
def test_no_target_is_of_a_class_that_goes_and_each_is_of_the_likeliest_class_that_stays(seed, labels, gone):
    draws = torch.Generator().manual_seed(seed)
    bank = make_bank(draws, 200, labels, list(range(gone)))
    logits = torch.randn(30, labels, generator=draws)
    rows = bank.assigned(logits, torch.arange(gone), draws)
    assert torch.isneginf(bank.answers[:, :gone]).all()
    assert bank.answers.exp().sum(1).allclose(torch.ones(len(bank.answers)))
    known = bank.answers.argmax(1).unique()
    for sample, row in zip(logits, rows, strict=True):
        likeliest = max(known.tolist(), key=lambda each: float(sample[each]))
        assert int(bank.answers[row].argmax()) == likeliest >= gone


def test_inputs_that_are_taken_for_a_class_that_goes_are_no_targets():
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [2.0, 1.9, 1.8]])
    bank = UnfamiliarBank.of(torch.eye(3), logits, torch.tensor([0]))
    assert bank.features.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    with pytest.raises(ValueError, match="the bank has no input"):
        UnfamiliarBank.of(torch.eye(1), logits[:1], torch.tensor([0])).assigned(logits, torch.tensor([0]), None)


@given(seed=seeds)
def test_each_target_is_dealt_once_before_one_is_dealt_again(seed):
    draws = torch.Generator().manual_seed(seed)
    bank = UnfamiliarBank(torch.randn(8, 2), without(torch.tensor([[0.0, 5.0, 0.0]] * 8), torch.tensor([0])))
    rows = bank.assigned(torch.tensor([[9.0, 1.0, 0.0]] * 20), torch.tensor([0]), draws)
    assert sorted(rows.bincount(minlength=8).tolist()) == [2] * 4 + [3] * 4


@given(seed=seeds, width=st.integers(8, 40), classes=st.integers(2, 6))
def test_an_untaught_row_is_of_no_class_and_likely_for_no_input(seed, width, classes):
    draws = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(classes, width, generator=draws), torch.randn(classes, generator=draws)
    features = torch.rand(50, width, generator=draws)
    row, level = untaught_row(weight, bias, features, draws)
    apart = row - weight.mean(0)
    assert float(apart.norm()) == pytest.approx(0.75 * float(weight.norm(dim=1).mean()), rel=1e-4)
    # Nothing of the direction in which the other rows tell inputs apart, as far as half the width spans them.
    if classes <= width // 2:
        assert ((weight - weight.mean(0)) @ apart).abs().max() < 1e-2 * float(weight.norm())
    logits = features @ weight.T + bias
    own = float((features @ row + level).mean())
    depth = math.log(20 if classes >= 3 else 1000)
    # As low as the least likely one, and no lower unless that is a likely one.
    assert own == pytest.approx(min(float(logits.amin(1).mean()), float(logits.logsumexp(1).mean()) - depth), abs=1e-2)


def test_among_two_classes_the_untaught_one_is_not_the_likeliest():
    draws = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(1, 16, generator=draws), torch.zeros(1)
    features = torch.rand(50, 16, generator=draws)
    row, level = untaught_row(weight, bias, features, draws)
    assert ((features @ row + level) < features @ weight[0]).all()


def test_without_biases_the_row_itself_has_the_level():
    draws = torch.Generator().manual_seed(0)
    weight, features = torch.randn(5, 32, generator=draws), torch.rand(50, 32, generator=draws)
    row, level = untaught_row(weight, None, features, draws)
    logits = features @ weight.T
    assert level == 0.0
    expected = min(float(logits.amin(1).mean()), float(logits.logsumexp(1).mean()) - math.log(20))
    assert float((features @ row).mean()) == pytest.approx(expected, abs=1e-3)
