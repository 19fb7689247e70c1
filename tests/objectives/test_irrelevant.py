"""Irrelevant classes: never the sample's own, uniform over the others, the same whatever the batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.objectives import IrrelevantClassSampler, draw_irrelevant_classes


@given(num_labels=st.integers(2, 40), seed=st.integers(0, 2**32), samples=st.integers(1, 50))
def test_another_class_that_exists(num_labels, seed, samples):
    labels = torch.randint(0, num_labels, (samples,), generator=torch.Generator().manual_seed(seed))
    for drawn in (
        draw_irrelevant_classes(labels, num_labels, torch.Generator().manual_seed(seed)),
        IrrelevantClassSampler(samples, num_labels, seed).draw(labels, torch.arange(samples), 0)[0],
    ):
        assert (drawn != labels).all() and (drawn >= 0).all() and (drawn < num_labels).all()


@pytest.mark.parametrize("label", [0, 2, 4])
def test_uniform_over_the_other_classes(label):
    labels = torch.full((20_000,), label)
    drawn = IrrelevantClassSampler(20_000, 5, 0).draw(labels, torch.arange(20_000), 0)[0]
    counts = torch.bincount(drawn, minlength=5)
    others = counts[torch.arange(5) != label]
    # 5,000 each, standard deviation 61.
    assert counts[label] == 0 and (others - 5000).abs().max() < 5 * 61


@given(order=st.permutations(range(12)), cut=st.integers(1, 11), pass_number=st.integers(0, 5))
def test_draws_belong_to_the_sample_not_to_the_batch(order, cut, pass_number):
    labels = torch.arange(12) % 4
    whole = IrrelevantClassSampler(12, 4, seed=7).draw(labels, torch.arange(12), pass_number)
    sampler = IrrelevantClassSampler(12, 4, seed=7)
    for batch in (torch.tensor(order[:cut]), torch.tensor(order[cut:])):
        assert torch.equal(sampler.draw(labels[batch], batch, pass_number), whole[:, batch])


def test_each_pass_and_each_seed_draw_anew():
    labels, everything = torch.zeros(200, dtype=torch.long), torch.arange(200)
    first = IrrelevantClassSampler(200, 10, seed=0)
    assert not torch.equal(first.draw(labels, everything, 0), first.draw(labels, everything, 1))
    other = IrrelevantClassSampler(200, 10, seed=1)
    assert not torch.equal(first.draw(labels, everything, 0), other.draw(labels, everything, 0))


@pytest.mark.parametrize("num_labels", [0, 1])
def test_one_label_leaves_no_irrelevant_one(num_labels):
    with pytest.raises(ValueError, match="no irrelevant class"):
        draw_irrelevant_classes(torch.zeros(1, dtype=torch.long), num_labels)
    with pytest.raises(ValueError, match="no irrelevant class"):
        IrrelevantClassSampler(1, num_labels, 0)


@given(num_labels=st.integers(2, 12), seed=st.integers(0, 1000), data=st.data())
def test_several_classes_of_a_sample_differ(num_labels, seed, data):
    count = data.draw(st.integers(1, num_labels - 1))
    labels = torch.arange(30) % num_labels
    drawn = IrrelevantClassSampler(30, num_labels, seed, count).draw(labels, torch.arange(30), 0)
    assert drawn.shape == (count, 30)
    for sample, label in enumerate(labels.tolist()):
        classes = set(drawn[:, sample].tolist())
        assert len(classes) == count and label not in classes


@pytest.mark.parametrize("count", [0, 4])
def test_more_classes_than_there_are(count):
    with pytest.raises(ValueError, match="expected 1 to 3"):
        IrrelevantClassSampler(1, 4, 0, count)
