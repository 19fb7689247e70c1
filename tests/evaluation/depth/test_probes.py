"""Probes of features and logits, each on a case whose answer is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hf_unlearn.evaluation.attacks.membership import TooFewSamples
from hf_unlearn.evaluation.depth.probes import (
    halves,
    intra_class_cosine,
    linear_probe,
    mlp_probe,
    over_classes,
    prototype_recall,
    shifted_recall,
)

RNG = np.random.default_rng(0)


def test_halves_are_all_rows_once_and_depend_on_the_seed():
    fit, held = halves(101, seed=3)
    assert sorted([*fit, *held]) == list(range(101)) and len(fit) == 50
    assert not np.array_equal(fit, halves(101, seed=4)[0]) and np.array_equal(fit, halves(101, seed=3)[0])


def test_a_linear_probe_finds_what_the_normal_distribution_says():
    # Two normals, two deviations apart: at 1 % false positives one finds P(z > 2.326 - 2) of the other.
    forget, retain = RNG.normal(size=(8000, 3)), RNG.normal(size=(8000, 3))
    forget[:, 1] += 2.0
    expected = 100 * stats.norm.sf(stats.norm.isf(0.01) - 2.0)
    assert linear_probe(forget, retain) == pytest.approx(expected, abs=4)
    assert linear_probe(retain[:4000], retain[4000:]) < 3


def test_two_layers_see_what_a_line_does_not():
    # The forgotten class lies within a ring of the others.
    angle = RNG.uniform(0, 2 * np.pi, 600)
    retain = 4 * np.stack([np.cos(angle), np.sin(angle)], 1) + RNG.normal(scale=0.2, size=(600, 2))
    forget = RNG.normal(scale=0.2, size=(200, 2))
    assert mlp_probe(forget, retain) == 100 and linear_probe(forget, retain) < 50


def test_a_probe_looks_at_samples_that_it_was_not_fitted_on():
    # With more numbers than samples anything is separated where it was fitted, and noise stays noise elsewhere.
    noise = RNG.normal(size=(400, 300))
    assert linear_probe(noise[:200], noise[200:]) < 15


def test_the_cosine_is_the_mean_over_pairs():
    values = RNG.normal(size=(7, 4))
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    pairs = [units[one] @ units[other] for one in range(7) for other in range(one)]
    assert intra_class_cosine(values) == pytest.approx(np.mean(pairs))
    assert intra_class_cosine(np.eye(5)) == pytest.approx(0) and intra_class_cosine(np.ones((3, 2))) == pytest.approx(1)


def test_five_samples_bring_back_what_points_one_way_and_not_what_is_as_the_rest():
    weight = np.eye(4)[:3]
    own = np.tile(np.eye(4)[3], (60, 1)) + RNG.normal(scale=0.05, size=(60, 4))
    others = np.eye(4)[RNG.integers(0, 3, 400)] + RNG.normal(scale=0.05, size=(400, 4))
    # Class 3's row is as good as gone; a new one is made.
    rows = np.vstack([weight, np.zeros(4)])
    assert prototype_recall(own, others, rows, forgotten=[3]) == 100
    like_the_rest = np.eye(4)[RNG.integers(0, 3, 60)] + RNG.normal(scale=0.05, size=(60, 4))
    assert prototype_recall(like_the_rest, others, rows, forgotten=[3]) < 15


def test_the_old_row_has_no_part_in_the_prototype():
    forget, retain = RNG.normal(1, 1, (60, 5)), RNG.normal(0, 1, (300, 5))
    weight, bias = RNG.normal(size=(4, 5)), RNG.normal(size=4)
    other, other_bias = weight.copy(), bias.copy()
    other[2], other_bias[2] = 100.0, -1e9
    found = prototype_recall(forget, retain, weight, bias, forgotten=[2])
    assert prototype_recall(forget, retain, other, other_bias, forgotten=[2]) == found


def test_a_shifted_logit_by_hand():
    # How far the forgotten logit leads: 0 to 199 over retained samples. Two of 200 may be beaten, so 198 and 199.
    retain = np.stack([np.arange(200.0), np.zeros(200), np.full(200, -1.0)], 1)
    forget = np.stack([np.linspace(190, 209, 20), np.zeros(20), np.full(20, -1.0)], 1)
    # Above 197: 198 to 209.
    assert shifted_recall(forget, retain, 0) == pytest.approx(100 * 12 / 20)
    # Ten of 200: above 189 are all.
    assert shifted_recall(forget, retain, 0, fpr=0.05) == 100


@given(constant=st.floats(-1e4, 1e4), seed=st.integers(0, 20))
def test_a_bias_hides_nothing_from_a_shifted_logit(constant, seed):
    rng = np.random.default_rng(seed)
    forget, retain = rng.normal(1, 2, (50, 4)), rng.normal(0, 2, (200, 4))
    masked = [part + constant * np.eye(4)[1] for part in (forget, retain)]
    assert shifted_recall(*masked, 1) == pytest.approx(shifted_recall(forget, retain, 1), abs=2.01)


def test_other_forgotten_classes_have_no_part_in_a_shifted_logit():
    forget, retain = RNG.normal(1, 2, (50, 4)), RNG.normal(0, 2, (200, 4))
    loud = [part + 1e6 * np.eye(4)[3] for part in (forget, retain)]
    assert shifted_recall(*loud, 1, forgotten=[1, 3]) == shifted_recall(forget[:, :3], retain[:, :3], 1)


def test_classes_count_alike_and_those_with_too_few_samples_not():
    labels = np.array([1] * 3 + [4] * 30 + [7] * 5)

    def probe(rows, label):
        if rows.sum() < 4:
            raise TooFewSamples("3 samples")
        return float(label)

    assert over_classes(probe, labels, [1, 4, 7]) == 5.5
    with pytest.raises(TooFewSamples, match="3 samples"):
        over_classes(probe, labels, [1])


@pytest.mark.parametrize("probe", [linear_probe, mlp_probe])
def test_too_few_samples_are_no_probe(probe):
    with pytest.raises(TooFewSamples, match="30 forget samples; at least 40"):
        probe(np.ones((30, 2)), np.ones((300, 2)))
    with pytest.raises(TooFewSamples, match="50 non-members; at least 100"):
        probe(RNG.normal(size=(60, 2)), RNG.normal(size=(100, 2)))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: linear_probe(np.ones((60, 2)), np.ones((300, 3))), "2 and 3 numbers wide"),
        (lambda: mlp_probe(np.full((60, 2), np.nan), np.ones((300, 2))), "forget samples' values hold NaN"),
        (lambda: intra_class_cosine(np.ones(3)), r"shape \(3,\)"),
        (lambda: intra_class_cosine(np.ones((1, 3))), "1 forget samples; at least 2"),
        (lambda: shifted_recall(np.ones((60, 1)), np.ones((300, 1)), 0), "are all that there are"),
        (lambda: prototype_recall(np.ones((60, 2)), np.ones((300, 2)), np.ones((2, 2)), forgotten=[0, 1]), "are all"),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
