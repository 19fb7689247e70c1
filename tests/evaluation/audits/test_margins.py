"""The one number that every audit looks at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn import UnlearningError
from hf_unlearn.evaluation import margins
from hf_unlearn.evaluation.audits.margins import LEAST_MODELS, check_margins


def test_a_hand_computed_case():
    found = margins(np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), np.array([0, 2]))
    np.testing.assert_allclose(found, [2 - np.log(2), -np.log(2)])


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_it_is_the_logit_of_the_probability(logits):
    p = np.exp(logits) / np.exp(logits).sum()
    found = margins(np.array([logits]), np.array([1]))[0]
    if 1e-9 < p[1] < 1 - 1e-9:
        assert found == pytest.approx(np.log(p[1]) - np.log(1 - p[1]), abs=1e-5)


def test_what_is_sure_beyond_any_doubt_and_what_is_masked_are_numbers():
    logits = np.array([[500.0, 0.0], [-np.inf, 0.0], [60.0, 0.0]])
    np.testing.assert_array_equal(margins(logits, np.zeros(3, int)), [100, -100, 60])


@pytest.mark.parametrize("logits", [np.full((2, 3), np.nan), np.zeros((2, 1)), np.zeros(3)])
def test_what_has_no_margin_is_refused(logits):
    with pytest.raises(UnlearningError, match="expected"):
        margins(logits, np.zeros(len(logits), int))


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ((LEAST_MODELS - 1, 3), (LEAST_MODELS - 1, 3), "7 unlearned models; an audit takes at least 8"),
        ((8, 3), (7, 3), "7 retrained models"),
        ((8, 3), (9, 3), "as many of both"),
        ((8, 3), (8, 2), "the same samples"),
        ((8,), (8,), "expected .models, samples."),
        ((8, 0), (8, 0), "expected .models, samples."),
    ],
)
def test_unlike_sides_are_refused(ours, theirs, said):
    with pytest.raises(UnlearningError, match=said):
        check_margins(np.zeros(ours), np.zeros(theirs))


def test_what_is_no_number_is_refused():
    with pytest.raises(UnlearningError, match="retrained margins hold NaN"):
        check_margins(np.zeros((8, 1)), np.full((8, 1), np.nan))
