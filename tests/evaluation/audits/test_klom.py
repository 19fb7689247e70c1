"""KLoM on histograms that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.evaluation import klom, klom_percentile


def test_a_case_counted_by_hand():
    """From 0 to 20 each bin is a unit: P has ¾ at 0 and ¼ at 20, Q half in each."""
    unlearned = np.array([0.0, 0, 0, 0, 0, 0, 20, 20])[:, None]
    retrained = np.array([0.0, 0, 0, 0, 20, 20, 20, 20])[:, None]
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert klom(unlearned, retrained)[0] == pytest.approx(expected)
    # Without the bin of the largest, all that is left of both is at 0.
    assert klom(unlearned, retrained, reference_compatible=True)[0] == pytest.approx(0.0)


def test_the_reference_code_loses_the_largest_margin():
    """P: 0, 0, 0, 0, 0, 0, 0 and 20, which goes: 1 at 0. Q: four at 0, four at 10."""
    unlearned = np.array([0.0, 0, 0, 0, 0, 0, 0, 20])[:, None]
    retrained = np.array([0.0, 0, 0, 0, 10, 10, 10, 10])[:, None]
    assert klom(unlearned, retrained, reference_compatible=True)[0] == pytest.approx(np.log(1 / 0.5))
    floored = 7 / 8 * np.log((7 / 8) / 0.5) + 1 / 8 * np.log((1 / 8) / 1e-5)
    assert klom(unlearned, retrained)[0] == pytest.approx(floored)


def test_the_floor_brings_the_reference_codes_histogram_to_a_sum_of_one():
    unlearned = np.array([0.0, 0, 0, 0, 10, 10, 10, 10])[:, None]
    retrained = np.array([0.0, 0, 0, 0, 0, 0, 0, 20])[:, None]
    total = 1 + 1e-5
    expected = 0.5 * np.log(0.5 / (1 / total)) + 0.5 * np.log(0.5 / (1e-5 / total))
    assert klom(unlearned, retrained, reference_compatible=True)[0] == pytest.approx(expected, abs=1e-9)


def test_models_without_a_bin_in_common_have_the_largest_value():
    high, low = np.full((8, 1), 5.0), np.zeros((8, 1))
    assert klom(high, low)[0] == pytest.approx(np.log(1e5))
    # In the reference code all of them are the largest: there is no histogram.
    assert np.isnan(klom(high, low, reference_compatible=True)[0])


@pytest.mark.parametrize("reference_compatible", [False, True])
def test_the_same_models_are_at_no_distance(reference_compatible):
    values = np.random.default_rng(0).normal(size=(30, 5))
    np.testing.assert_allclose(klom(values, values, reference_compatible), 0, atol=1e-12)
    alike = np.full((8, 1), 3.0)
    np.testing.assert_allclose(klom(alike, alike, reference_compatible), 0, atol=1e-12)


@given(st.integers(0, 50), st.floats(-5, 5), st.floats(0.1, 10))
def test_neither_place_nor_unit_of_the_margins_counts(seed, shift, scale):
    rng = np.random.default_rng(seed)
    # Halves, so that no margin lies on the edge of a bin by rounding alone.
    ours, theirs = (np.round(rng.normal(size=(9, 2)) * 8) / 8 for _ in range(2))
    before = klom(ours, theirs)
    assert (before >= -1e-9).all()
    moved = klom(ours + 2.0 * round(shift), theirs + 2.0 * round(shift))
    np.testing.assert_allclose(moved, before)


def test_the_percentile_is_the_worst_but_for_a_twentieth():
    assert klom_percentile(np.arange(101.0)) == 95.0
