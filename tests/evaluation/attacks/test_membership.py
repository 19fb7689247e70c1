"""The attacks: their direction, planted membership, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.evaluation.attacks.membership import (
    LEAST_SAMPLES,
    TooFewSamples,
    confidence_attack,
    entropy_attack,
    loss_attack,
)

RNG = np.random.default_rng(0)
LOW, HIGH = RNG.uniform(0.0, 0.2, 200), RNG.uniform(0.8, 1.0, 200)


def test_entropy_attack_counts_members():
    # Members have low entropy here, so forget samples of low entropy are called members.
    assert entropy_attack(LOW, HIGH, LOW[:50]) == 100
    assert entropy_attack(LOW, HIGH, HIGH[:50]) == 0
    assert entropy_attack(LOW, HIGH, np.r_[LOW[:30], HIGH[:10]]) == 75


def test_entropy_attack_is_balanced():
    # Ten times as many members do not make everything a member.
    many = np.random.default_rng(1).uniform(0.0, 0.2, 2000)
    assert entropy_attack(many, HIGH, HIGH[:50]) == 0


def test_confidence_attack_counts_non_members():
    assert confidence_attack(HIGH, LOW, HIGH[:50]) == 0
    assert confidence_attack(HIGH, LOW, LOW[:50]) == 100
    assert confidence_attack(HIGH, LOW, np.r_[LOW[:30], HIGH[:10]]) == 75


def test_loss_attack_finds_a_planted_difference_and_none_where_there_is_none():
    rng = np.random.default_rng(2)
    assert loss_attack(LOW, HIGH) == 100
    assert abs(loss_attack(rng.normal(size=2000), rng.normal(size=2000)) - 50) < 5


def test_loss_attack_draws_as_many_of_each():
    rng = np.random.default_rng(3)
    # A constant answer would be right on 95 % of all samples.
    assert abs(loss_attack(rng.normal(size=100), rng.normal(size=1900)) - 50) < 15


@given(order=st.permutations(range(30)), shift=st.floats(-2, 2))
def test_the_order_of_forget_samples_does_not_matter(order, shift):
    forget = np.linspace(0, 1, 30) + shift
    assert entropy_attack(LOW, HIGH, forget[list(order)]) == entropy_attack(LOW, HIGH, forget)


@pytest.mark.parametrize("short", [0, 1, 2])
def test_too_few_samples_are_named(short):
    sets = [LOW, HIGH, LOW]
    sets[short] = sets[short][: LEAST_SAMPLES - 1]
    for attack in (entropy_attack, confidence_attack):
        with pytest.raises(TooFewSamples, match=f"{LEAST_SAMPLES - 1} .* at least {LEAST_SAMPLES}"):
            attack(*sets)
    with pytest.raises(TooFewSamples):
        loss_attack(LOW[:3], HIGH)


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="NaN or infinity"):
        loss_attack(np.r_[LOW, np.inf], HIGH)


def test_a_seed_gives_the_same_answer_again():
    rng = np.random.default_rng(4)
    forget, test = rng.normal(0.3, 1, 80), rng.normal(size=300)
    assert loss_attack(forget, test, seed=1) == loss_attack(forget, test, seed=1)
    assert loss_attack(forget, test, seed=1) != loss_attack(forget, test, seed=2)
