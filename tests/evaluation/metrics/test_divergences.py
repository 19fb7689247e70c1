"""Divergences against closed forms, and what must hold for any two models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hf_unlearn.evaluation import activation_distance, completeness, js_divergence, kl_divergence
from hf_unlearn.evaluation.metrics import pieces
from hf_unlearn.evaluation.metrics.divergences import (
    activation_distances,
    agreements,
    distances,
    js_divergences,
    kl_divergences,
    log_softmax,
    zero_retrain_forgetting,
)

LOGITS = hnp.arrays(np.float64, (5, 4), elements=st.floats(-50, 50))
ALL = (kl_divergences, js_divergences, activation_distances)


def logs(*rows):
    return np.log(np.array(rows))


def test_kl_is_from_the_retrained_model_by_hand():
    model, retrained = logs([0.5, 0.5]), logs([0.25, 0.75])
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert kl_divergences(model, retrained) == pytest.approx([expected])
    assert kl_divergences(retrained, model) != pytest.approx([expected])


def test_js_by_hand():
    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    middle = (p + q) / 2
    expected = 0.5 * (p * np.log(p / middle)).sum() + 0.5 * (q * np.log(q / middle)).sum()
    assert js_divergences(logs(p), logs(q)) == pytest.approx([expected])


def test_js_of_opposite_answers_is_ln_2_whatever_the_number_of_classes():
    # Copied code divides by samples times classes: 0.069 here.
    ours, theirs = np.zeros((3, 10)), np.zeros((3, 10))
    ours[:, 0], theirs[:, 1] = 900.0, 900.0
    assert js_divergences(ours, theirs) == pytest.approx([math.log(2)] * 3)


def test_activation_distance_by_hand():
    assert activation_distances(logs([0.5, 0.5]), logs([0.2, 0.8])) == pytest.approx([math.hypot(0.3, 0.3)])


def test_completeness_is_the_share_of_equal_answers():
    ours = np.array([[2.0, 1.0], [1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    theirs = np.array([[9.0, 1.0], [2.0, 1.0], [1.0, 0.0], [0.0, 5.0]])
    assert agreements(ours, theirs).tolist() == [True, False, True, True]


def test_zrf_is_one_less_the_js_divergence():
    ours, random = logs([0.5, 0.5], [0.9, 0.1]), logs([0.25, 0.75], [0.5, 0.5])
    assert zero_retrain_forgetting(ours, random) == pytest.approx(1 - js_divergences(ours, random).mean())
    assert zero_retrain_forgetting(ours, ours) == pytest.approx(1)


@given(ours=LOGITS, theirs=LOGITS, order=st.permutations(range(5)))
def test_bounds_and_the_order_of_samples(ours, theirs, order):
    for function, most in zip(ALL, (math.inf, math.log(2), math.sqrt(2)), strict=True):
        values = function(ours, theirs)
        assert values.shape == (5,) and (values >= -1e-12).all() and (values <= most + 1e-12).all()
        np.testing.assert_allclose(function(ours[order], theirs[order]), values[order])
        np.testing.assert_allclose(function(ours, ours), 0, atol=1e-9)
    np.testing.assert_allclose(js_divergences(ours, theirs), js_divergences(theirs, ours), atol=1e-12)


@given(logits=LOGITS, shift=st.floats(-1e3, 1e3))
def test_a_constant_added_to_all_logits_changes_nothing(logits, shift):
    np.testing.assert_allclose(log_softmax(logits + shift), log_softmax(logits), atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad):
    for function in ALL:
        with pytest.raises(ValueError, match="NaN or infinity"):
            function(np.array([[bad, 1.0]]), np.array([[0.0, 1.0]]))


def test_models_with_other_classes_are_refused():
    with pytest.raises(ValueError, match="expected the same"):
        js_divergences(np.zeros((2, 3)), np.zeros((2, 4)))


@given(ours=LOGITS, theirs=LOGITS, at_once=st.integers(1, 6))
def test_means_are_those_of_the_samples_however_many_at_once(ours, theirs, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "ROWS_AT_ONCE", at_once)
        together = distances(ours, theirs)
        alone = {function.__name__: function(ours, theirs) for function in (js_divergence, kl_divergence)}
        alone["activation_distance"] = activation_distance(ours, theirs)
        alone["completeness"] = completeness(ours, theirs)
    assert together == alone
    expected = [js_divergences(ours, theirs).mean(), kl_divergences(ours, theirs).mean()]
    expected += [activation_distances(ours, theirs).mean(), 100 * agreements(ours, theirs).mean()]
    assert list(together.values()) == pytest.approx(expected, abs=1e-12)


@given(ours=LOGITS, theirs=LOGITS)
def test_js_is_what_its_logarithms_say(ours, theirs):
    log_p, log_q = log_softmax(ours), log_softmax(theirs)
    log_m = np.logaddexp(log_p, log_q) - np.log(2)
    halves = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
    np.testing.assert_allclose(js_divergences(ours, theirs), 0.5 * halves.sum(axis=1), rtol=1e-9, atol=1e-14)


def test_kl_is_finite_where_a_probability_is_too_small_for_a_number():
    assert kl_divergence(np.array([[2000.0, 0.0]]), np.array([[0.0, 0.0]])) == pytest.approx(1000 - math.log(2))


@pytest.mark.parametrize("function", [js_divergence, kl_divergence, activation_distance, completeness])
def test_no_samples_have_no_mean(function):
    with pytest.raises(ValueError, match="at least one"):
        function(np.zeros((0, 3)), np.zeros((0, 3)))
