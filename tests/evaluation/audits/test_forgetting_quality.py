"""The competition's ε on margins of which every decision rule can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_unlearn.evaluation import example_epsilons, final_score, forgetting_quality

DELTA = 1e-5


def epsilon(false, missed, count=8):
    """Of a rule with so many false positives and misses, neither of them all."""
    if false == count or missed == count:
        return 0.0
    return max(
        0.0,
        np.log(1 - DELTA - false / count) - np.log(missed / count),
        np.log(1 - DELTA - missed / count) - np.log(false / count),
    )


def column(*values):
    return np.array(values, float)[:, None]


def rules(unlearned, retrained):
    """False positives and misses of every rule of the two families, one after the other."""
    first = np.median(unlearned) >= np.median(retrained)
    positive, negative = (unlearned, retrained) if first else (retrained, unlearned)
    cuts = sorted({*unlearned, *retrained})
    for cut in cuts:
        yield sum(negative >= cut), sum(positive < cut)
    peaked, wide = (unlearned, retrained) if np.ptp(unlearned) <= np.ptp(retrained) else (retrained, unlearned)
    for left in cuts:
        for right in (each for each in cuts if each >= left):
            yield (
                sum((wide >= left) & (wide <= right)),
                sum((peaked < left) | (peaked > right)),
            )


@given(st.integers(0, 200), st.floats(0, 4), st.sampled_from([1, 2, 8]))
def test_it_is_the_best_of_all_rules(seed, shift, digits):
    """Rounded to few digits, so that some margins are equal."""
    rng = np.random.default_rng(seed)
    ours = np.round(rng.normal(shift, 1, 8) * digits) / digits
    theirs = np.round(rng.normal(0, 1.5, 8) * digits) / digits
    best = 0.0
    for false, missed in rules(ours, theirs):
        if false == missed == 0:
            best = 50.0
        elif false and missed:
            best = max(best, epsilon(false, missed))
    assert example_epsilons(ours[:, None], theirs[:, None])[0] == pytest.approx(best)


@pytest.mark.parametrize("reference_compatible", [False, True])
def test_two_thresholds_find_what_one_does_not(reference_compatible):
    """Seven of eight lie from 0 to 0.6, where one of the others does."""
    narrow = column(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 2.7)
    wide = column(-3, -2.5, -2, 0.25, 2, 2.5, 3, 3.5)
    found = example_epsilons(narrow, wide, reference_compatible)[0]
    assert found == pytest.approx(epsilon(1, 1))
    # One threshold above all others but three misses everything but one.
    single = [epsilon(sum(wide.ravel() >= cut), sum(narrow.ravel() < cut)) for cut in (0.15, 0.35, 2.2, 2.6)]
    assert found > max(single)


@pytest.mark.parametrize("reference_compatible", [False, True])
def test_models_that_are_wholly_apart_have_the_largest_epsilon(reference_compatible):
    apart = np.linspace(0, 1, 8)[:, None]
    assert example_epsilons(apart, apart + 5, reference_compatible)[0] == 50.0


def test_a_rule_with_a_single_rate_of_nothing_is_left_out():
    """Each threshold and window here has no false positive or no false negative, and never neither."""
    assert example_epsilons(column(*[0] * 7, 1), column(*[0] * 8))[0] == 0.0


def test_equal_margins_are_on_one_side():
    assert example_epsilons(np.zeros((8, 2)), np.zeros((8, 2))).tolist() == [0, 0]


def test_the_reference_code_gives_up_on_models_that_all_answer_alike():
    narrow, wide = np.linspace(0, 0.001, 8)[:, None], np.linspace(-1, 1, 8)[:, None]
    assert example_epsilons(narrow, wide, reference_compatible=True)[0] == 50.0


@settings(max_examples=15)
@given(st.integers(0, 30), st.floats(0, 3))
def test_no_grid_finds_more_than_all_thresholds(seed, shift):
    rng = np.random.default_rng(seed)
    ours, theirs = rng.normal(shift, 1, (8, 2)), rng.normal(0, 2, (8, 2))
    assert (example_epsilons(ours, theirs, True) <= example_epsilons(ours, theirs) + 1e-12).all()


def test_the_score_halves_with_each_bucket_and_ends():
    # ⌈ln 31⌉ = 4.
    values = np.array([0.0, 0.49, 0.5, 1.2, 3.99, 4.0, 50.0])
    expected = np.mean([1, 1, 0.5, 0.25, 2**-7, 0, 0])
    assert forgetting_quality(values, 32) == pytest.approx(expected)


def test_the_final_score_counts_lost_accuracy():
    assert final_score(0.5, (90.0, 80.0), (100.0, 100.0)) == pytest.approx(0.5 * 0.9 * 0.8)
