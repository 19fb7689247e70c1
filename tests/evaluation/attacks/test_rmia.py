"""RMIA by hand, on a model that memorised, and on one that did not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.evaluation.attacks.membership import TooFewSamples
from hf_unlearn.evaluation.attacks.rmia import auc, likelihood_ratios, rmia_scores, roc_curve, tpr_at_fpr
from hf_unlearn.evaluation.metrics.samples import SampleFigures


def test_likelihood_ratio_by_hand():
    own, out = np.log([0.8]), [np.log([0.2]), np.log([0.4])]
    assert likelihood_ratios(own, out, a=0.3) == pytest.approx([0.8 / (0.5 * (1.3 * 0.3 + 0.7))])


def test_score_is_the_share_of_the_population_that_is_dominated():
    population = np.arange(1.0, 41.0)
    # 6 / z > 1 for z below 6: five of forty; with gamma 2, 6 / z > 2 for z below 3: two.
    assert rmia_scores(np.array([6.0]), population) == pytest.approx([5 / 40])
    assert rmia_scores(np.array([6.0]), population, gamma=2.0) == pytest.approx([2 / 40])


def test_auc_and_tpr_by_hand():
    members, others = np.r_[np.full(15, 2.0), np.full(15, 0.0)], np.full(100, 1.0)
    assert auc(members, others) == pytest.approx(50)
    assert tpr_at_fpr(members, others, 0.01) == pytest.approx(50)
    assert auc(np.full(30, 5.0), others) == 100
    assert tpr_at_fpr(np.full(30, 1.0), others, 0.01) == 0


def test_one_false_positive_in_a_hundred_is_allowed():
    others = np.r_[np.zeros(99), 9.0]
    assert tpr_at_fpr(np.full(30, 5.0), others, 0.01) == 100
    assert tpr_at_fpr(np.full(30, 5.0), np.r_[np.zeros(98), 9.0, 9.0], 0.01) == 0


@given(shift=st.floats(0.1, 5), scale=st.floats(0.1, 9))
def test_auc_knows_only_the_order(shift, scale):
    rng = np.random.default_rng(0)
    a, b = rng.normal(shift, 1, 50), rng.normal(0, 1, 60)
    assert auc(scale * a + 1, scale * b + 1) == pytest.approx(auc(a, b))
    assert auc(a, b) == pytest.approx(100 - auc(b, a))


def test_what_too_few_samples_cannot_tell():
    with pytest.raises(TooFewSamples, match="at least 1000"):
        tpr_at_fpr(np.zeros(30), np.zeros(999), 0.001)
    with pytest.raises(TooFewSamples):
        auc(np.zeros(3), np.zeros(100))
    with pytest.raises(TooFewSamples):
        rmia_scores(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="no reference model"):
        likelihood_ratios(np.zeros(3), [])


def test_roc_runs_from_corner_to_corner():
    rng = np.random.default_rng(0)
    false_rate, true_rate = roc_curve(rng.normal(1, 1, 50), rng.normal(size=50))
    assert (false_rate[0], false_rate[-1], true_rate[-1]) == (0, 1, 1)
    assert true_rate == sorted(true_rate)


def trained(rows, data, labels, seed):
    """A wide network that fits random labels by heart."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(20, 256), torch.nn.ReLU(), torch.nn.Linear(256, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(data[rows]), labels[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return SampleFigures.of(model(data).numpy(), labels.numpy()).log_confidence


def test_planted_membership_is_found_and_absent_membership_is_not():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(1200, 20, generator=generator)
    labels = torch.randint(2, (1200,), generator=generator)
    members, others, population, elsewhere = np.arange(1200).reshape(4, 300)
    own = trained(members, data, labels, 0)
    references = [trained(elsewhere, data, labels, seed) for seed in (1, 2)]

    def scores(model, rows):
        ratios = likelihood_ratios(model, references)
        return rmia_scores(ratios[rows], ratios[population])

    assert auc(scores(own, members), scores(own, others)) > 70
    # Half of the others are right by luck, and as sure: there is no finding many without false alarms.
    assert tpr_at_fpr(scores(own, members), scores(own, others), 0.25) > 40
    # A model that saw neither: nothing to find.
    stranger = trained(elsewhere, data, labels, 3)
    assert abs(auc(scores(stranger, members), scores(stranger, others)) - 50) < 6
