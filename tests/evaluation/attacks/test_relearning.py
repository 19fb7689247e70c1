"""Relearning: steps until what was forgotten is back, from all samples, from five, or from others alone."""

from __future__ import annotations

import pytest
import torch

from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.evaluation.attacks.relearning import relearn, remembered
from tests.tiny import make_dataset, make_model, make_processor


@pytest.fixture(scope="module")
def pixels():
    return of(make_dataset(16))


def of(dataset):
    return PixelDataset(dataset, make_processor(), "image", "label", [0, 1, 2, 3])


class Seen:
    """Items that keep which of them were asked for."""

    def __init__(self, items):
        self.items, self.batches = items, []

    def __len__(self):
        return len(self.items)

    def __getitems__(self, indices):
        self.batches.append(list(indices))
        return self.items.__getitems__(indices)


def test_relearning_counts_steps_and_leaves_the_model_alone(pixels):
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = relearn(model, pixels, goal=90.0, learning_rate=1e-2, batch_size=8)
    assert found.steps == len(found.accuracies) - 1 > 0
    assert found.accuracies[-1] >= 90 and max(found.accuracies[:-1]) < 90
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert relearn(model, pixels, goal=90.0, learning_rate=1e-2, batch_size=8) == found


def test_what_is_known_needs_no_relearning(pixels):
    assert relearn(make_model(), pixels, goal=0.0).steps == 0


def test_a_goal_out_of_reach_is_none_not_the_limit(pixels):
    found = relearn(make_model(), pixels, goal=100.0, learning_rate=1e-9, most_steps=3)
    assert found.steps is None and len(found.accuracies) == 4


@pytest.mark.parametrize("goal", [-1.0, 101.0, float("nan")])
def test_a_goal_that_is_no_percentage(pixels, goal):
    with pytest.raises(ValueError, match="expected 0 to 100"):
        relearn(make_model(), pixels, goal=goal)


def test_half_of_each_batch_is_retained_samples(pixels):
    forget, retain = Seen(pixels), Seen(of(make_dataset(24, seed=1)))
    relearn(make_model(), forget, 100.0, retain=retain, learning_rate=1e-9, batch_size=8, most_steps=4)
    scored, *learned = forget.batches
    assert len(scored) == 16 and [len(batch) for batch in learned] == [4] * 4
    # All samples of a pass are different ones.
    assert sorted(sum(learned, [])) == list(range(16))
    assert [len(batch) for batch in retain.batches] == [4] * 4 and len(set(sum(retain.batches, []))) == 16


def test_five_samples_are_learned_from_and_the_others_looked_at(pixels):
    forget, retain = Seen(pixels), Seen(of(make_dataset(24, seed=1)))
    relearn(make_model(), forget, 100.0, retain=retain, shots=5, learning_rate=1e-9, most_steps=3)
    scored, *learned = forget.batches
    assert [len(batch) for batch in learned] == [5, 5, 5] == [len(batch) for batch in retain.batches]
    assert len({tuple(sorted(batch)) for batch in learned}) == 1
    assert sorted([*scored, *learned[0]]) == list(range(16))
    with pytest.raises(ValueError, match="shots is 16 of 16"):
        relearn(make_model(), pixels, 90.0, shots=16)


def test_what_comes_back_from_other_samples_alone(pixels):
    # Nothing is learned at this rate: what is known at the start is what is known at the end.
    model = make_model()
    known = relearn(model, pixels, goal=0.0).accuracies[0]
    assert remembered(model, pixels, of(make_dataset(8, seed=1)), learning_rate=1e-12, steps=2) == known
    # Other samples of the same classes bring them back; those of one other class alone bring back nothing.
    rate = {"learning_rate": 1e-2, "batch_size": 8, "steps": 40}
    assert remembered(model, pixels, of(make_dataset(32, seed=1)), **rate) >= 90
    red, blue = (make_dataset(64, seed=1).filter(lambda row, label=label: row["label"] == label) for label in (0, 2))
    kept = Seen(of(blue))
    assert remembered(model, of(red), kept, **rate) <= remembered(model, of(red), of(red), **rate) == 100
    assert all(len(batch) == 8 for batch in kept.batches)
    with pytest.raises(ValueError, match="0 steps on 16 retained samples"):
        remembered(model, pixels, pixels, steps=0)


def test_the_highest_accuracy_on_the_way_is_what_counts(pixels, monkeypatch):
    from hf_unlearn.evaluation.attacks import relearning

    said = iter([10.0, 40.0, 70.0, 20.0])
    monkeypatch.setattr(relearning, "_accuracy", lambda model, batch: next(said))
    assert remembered(make_model(), pixels, pixels, steps=3) == 70
