"""U-LiRA on margins whose distributions are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hf_unlearn import UnlearningError
from hf_unlearn.evaluation import u_lira
from hf_unlearn.evaluation.audits import u_lira as module


def halves(seed=0, models=40, samples=60, shift=0.0, spread=1.0):
    rng = np.random.default_rng(seed)
    members = rng.random((models, samples)) < 0.5
    # Samples differ more than members do from others: only who looks at each alone sees it.
    levels = rng.normal(0, 10, samples)
    return levels + spread * rng.normal(size=members.shape) + shift * members, members


def test_what_left_no_trace_is_chance():
    attack = u_lira(*halves(samples=300))
    assert attack.auc == pytest.approx(50, abs=2) and attack.balanced_accuracy == pytest.approx(50, abs=2)
    assert attack.tpr_at_1 == pytest.approx(1, abs=1)


def test_what_left_a_trace_is_found_as_well_as_theory_says():
    """Two normals a deviation apart: AUC Φ(1 / √2), balanced accuracy Φ(½)."""
    attack = u_lira(*halves(models=120, samples=300, shift=1.0))
    assert attack.auc == pytest.approx(100 * stats.norm.cdf(1 / np.sqrt(2)), abs=1.5)
    assert attack.balanced_accuracy == pytest.approx(100 * stats.norm.cdf(0.5), abs=1.5)
    assert np.median(attack.per_example) == pytest.approx(attack.balanced_accuracy, abs=2)


def test_going_too_far_is_a_trace_too():
    assert u_lira(*halves(shift=-2.0)).auc > 85


def test_a_narrower_distribution_is_a_trace():
    values, members = halves(models=128, samples=200)
    values = np.where(members, values.mean(axis=0), values)
    assert u_lira(values, members).auc > 80


def test_the_target_is_held_out():
    """A model's own margin says nothing of the distributions that it is scored by."""
    values, members = halves(models=8, samples=3, shift=3)
    before = module.scores(values, members)
    moved = values.copy()
    moved[0] += 40
    after = module.scores(moved, members)
    own = (moved[0] - values[0]) != 0
    assert own.all() and not np.allclose(before[1:], after[1:])
    # The two normals of the first model are as they were: its score is that of the moved margin under them.
    others, held = values[1:, 0], members[1:, 0]
    means = others[held].mean(), others[~held].mean()
    spreads = []
    for side in (members[1:], ~members[1:]):
        sums = [np.var(values[1:, at][side[:, at]], ddof=0) * side[:, at].sum() for at in range(3)]
        freedom = side.sum(axis=0) - 1
        known = side.sum(axis=0) >= 2
        spreads.append(np.sqrt(np.array(sums)[known].sum() / freedom[known].sum()))
    expected = stats.norm.logpdf(moved[0, 0], means[0], spreads[0]) - stats.norm.logpdf(
        moved[0, 0], means[1], spreads[1]
    )
    assert after[0, 0] == pytest.approx(expected)


def test_many_models_have_a_deviation_for_each_sample():
    values, members = halves(models=module.MODELS_FOR_OWN_DEVIATION, samples=2)
    values[:, 1] *= 50
    found = module.scores(values, members)
    values[:, 1] *= 2
    np.testing.assert_allclose(module.scores(values, members)[:, 0], found[:, 0])
    few = module.scores(values[:20], members[:20])
    values[:, 1] /= 2
    assert not np.allclose(module.scores(values[:20], members[:20])[:, 0], few[:, 0])


def test_models_that_agree_to_the_last_digit_are_not_told_apart_by_it():
    values, members = halves(spread=0.0)
    noise = 1e-9 * np.random.default_rng(1).normal(size=values.shape)
    assert np.abs(module.scores(values + noise * members, members)).max() < 1e-6


@pytest.mark.parametrize(
    ("models", "members", "said"),
    [
        (7, None, "7 models; an audit takes at least 8"),
        (8, np.ones((8, 30), bool), "its own random half"),
        (8, np.ones((8, 29), bool), "expected .models, samples. of both"),
    ],
)
def test_what_cannot_be_attacked_is_refused(models, members, said):
    values = np.zeros((models, 30))
    with pytest.raises(UnlearningError, match=said):
        u_lira(values, np.arange(models * 30).reshape(models, 30) % 2 == 0 if members is None else members)


def test_what_is_no_number_is_refused():
    with pytest.raises(UnlearningError, match="NaN"):
        u_lira(np.full((8, 30), np.nan), np.zeros((8, 30), bool))
