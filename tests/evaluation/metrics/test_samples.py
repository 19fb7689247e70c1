"""What is read of each sample, a piece at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hf_unlearn.evaluation.metrics import pieces
from hf_unlearn.evaluation.metrics.pieces import mean_over
from hf_unlearn.evaluation.metrics.samples import SampleFigures, modified_entropies, modified_entropy


def test_modified_entropy_by_hand():
    p = np.array([[0.7, 0.2, 0.1]])
    expected = -(0.3 * np.log(0.7)) - 0.2 * np.log(0.8) - 0.1 * np.log(0.9)
    assert modified_entropies(np.log(p), np.array([0])) == pytest.approx([expected])
    wrong = -(0.9 * np.log(0.1)) - 0.7 * np.log(0.3) - 0.2 * np.log(0.8)
    assert modified_entropies(np.log(p), np.array([2])) == pytest.approx([wrong])
    both = np.log(np.r_[p, p])
    assert modified_entropy(both, np.array([0, 2])) == pytest.approx((expected + wrong) / 2)


def test_a_sure_answer_has_no_modified_entropy_if_right_and_much_if_wrong():
    logits = np.array([[80.0, 0.0, 0.0], [800.0, 0.0, 0.0]])
    assert modified_entropies(logits, np.array([0, 0])) == pytest.approx([0, 0], abs=1e-12)
    right, wrong = modified_entropies(logits, np.array([0, 1]))
    assert np.isfinite(wrong) and wrong > 100 > right


def test_entropy_and_confidence_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]])
    found = SampleFigures.of(np.log(p), np.array([0, 2]))
    assert found.entropy == pytest.approx(-(p * np.log(p)).sum(1))
    assert found.confidence == pytest.approx([0.7, 0.25])
    assert found.log_doubt == pytest.approx(np.log([0.3, 0.75]))
    assert found.correct.tolist() == [True, False]


def test_doubt_is_exact_where_confidence_rounds_to_one():
    found = SampleFigures.of(np.array([[60.0, 0.0]]), np.array([0]))
    assert found.confidence[0] == 1.0 and found.log_doubt[0] == pytest.approx(-60)


@given(
    logits=hnp.arrays(np.float64, (7, 3), elements=st.floats(-900, 900)),
    labels=hnp.arrays(np.int64, 7, elements=st.integers(0, 2)),
)
def test_all_figures_are_finite_and_the_pieces_do_not_matter(logits, labels):
    whole = SampleFigures.of(logits, labels)
    size, pieces.ROWS_AT_ONCE = pieces.ROWS_AT_ONCE, 2
    try:
        parts = SampleFigures.of(logits, labels)
        mean = mean_over(lambda a, b: (a - b).sum(1), logits, logits + 1)
    finally:
        pieces.ROWS_AT_ONCE = size
    for name in ("log_confidence", "log_doubt", "entropy", "modified_entropy"):
        values = getattr(whole, name)
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, getattr(parts, name))
    assert mean == pytest.approx(-3)
    assert (whole.modified_entropy >= 0).all() and (whole.entropy >= -1e-12).all()


def test_a_memory_map_will_do(tmp_path):
    logits = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    np.save(tmp_path / "l.npy", logits)
    mapped = np.load(tmp_path / "l.npy", mmap_mode="r")
    labels = np.arange(9) % 4
    np.testing.assert_array_equal(SampleFigures.of(mapped, labels).entropy, SampleFigures.of(logits, labels).entropy)


def test_no_samples():
    assert len(SampleFigures.of(np.empty((0, 3)), np.empty(0, int))) == 0
