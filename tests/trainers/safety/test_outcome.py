"""A broken model is told from one that forgot, however few classes are left."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hf_unlearn import DivergenceError, MUMisConfig, MUMisTrainer
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.objectives import Surroundings
from hf_unlearn.trainers.safety.outcome import LEAST_AGREEMENT, surroundings_agreement
from hf_unlearn.trainers.safety.samples import Sample
from tests.tiny import LABELS, make_dataset, make_model, make_processor

# By name: what is done to a classifier's head.
BREAKS = {
    "negated": lambda head: [value.neg_() for value in head.parameters()],
    "zeroed": lambda head: [value.zero_() for value in head.parameters()],
    "exchanged": lambda head: [value.copy_(value.roll(1, 0)) for value in head.parameters()],
    "no number": lambda head: head.bias.fill_(float("nan")),
}


def sample_of(names, forgotten=None, num_samples=24):
    data = make_dataset(num_samples, label_names=names)
    if forgotten is not None:
        data = data.filter(lambda label: names[label] in forgotten, input_columns="label")
    pixels = PixelDataset(data, make_processor(), "image", "label", range(len(names)))
    return Sample.of(pixels, len(pixels), make_model())


def agreement(before, after, sample, names=(), forgotten=()):
    left_out = torch.tensor([list(names).index(name) for name in forgotten], dtype=torch.long)
    return surroundings_agreement(before, after, sample, len(sample.labels), 0, left_out)


def broken(model, how):
    other = copy.deepcopy(model)
    (head,) = [module for module in other.classifier.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        BREAKS[how](head)
    return other


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("forgotten", [(), LABELS[:1], LABELS[1:2]])
def test_a_broken_head_of_two_labels_is_seen(architecture, forgotten, how):
    names = LABELS[:2]
    for seed in range(3):
        model = make_model(architecture, seed, names)
        # With none that goes the samples are of all classes, as in a random subset.
        sample = sample_of(names, forgotten or None)
        assert agreement(model, model, sample, names, forgotten) == 1.0
        assert agreement(model, broken(model, how), sample, names, forgotten) < LEAST_AGREEMENT


@pytest.mark.parametrize("how", ["zeroed", "no number"])
@pytest.mark.parametrize("num_labels", [3, 4])
def test_a_head_that_says_nothing_is_seen_where_all_classes_but_one_go(architecture, num_labels, how):
    names = LABELS[:num_labels]
    model = make_model(architecture, 0, names)
    for forgotten in (names[1:], names[:-1]):
        sample = sample_of(names, forgotten)
        assert agreement(model, model, sample, names, forgotten) == 1.0
        assert agreement(model, broken(model, how), sample, names, forgotten) < LEAST_AGREEMENT


class Fixed(nn.Module):
    """Answers by a picture's mean brightness: logits `(batch, num_labels)` are weight · brightness + bias."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = torch.tensor(weight), torch.tensor(bias)

    def forward(self, pixel_values):
        brightness = pixel_values.mean((1, 2, 3))
        return {"logits": brightness.unsqueeze(1) * self.weight + self.bias}


def bright_and_dark(labels):
    levels = torch.linspace(-1, 1, len(labels)).view(-1, 1, 1, 1)
    return Sample(levels.expand(-1, 3, 16, 16).contiguous(), torch.tensor(labels), torch.arange(len(labels)))


@pytest.mark.parametrize("shift", [0.0, 1.0, 30.0])
def test_forgetting_is_no_damage_with_one_class_left(shift):
    # Dark pictures are of class 0, which goes: all of them go to class 1, and no bright one leaves it.
    sample = bright_and_dark([0] * 20)
    original, forgot = Fixed([-1.0, 1.0], [0.0, 0.0]), Fixed([-1.0, 1.0], [-shift, 0.0])
    assert agreement(original, forgot, sample, "ab", "a") == 1.0
    # With class 1 it is the bright ones that are lost.
    lost = Fixed([-1.0, 1.0], [shift, 0.0])
    assert agreement(original, lost, sample, "ab", "a") == pytest.approx(
        {0.0: 1.0, 1.0: 0.5, 30.0: 0.0}[shift], abs=0.1
    )


def test_where_no_input_is_of_the_class_that_stays_the_reverse_is_seen():
    sample, surely = bright_and_dark([0] * 20), [9.0, 0.0]
    original = Fixed([-1.0, 1.0], surely)
    sound = [Fixed([-1.0, 1.0], [-9.0, 0.0]), Fixed([-0.1, 0.1], [0.0, 9.0]), original]
    assert all(agreement(original, model, sample, "ab", "a") == 1.0 for model in sound)
    unsound = [Fixed([1.0, -1.0], [-9.0, 0.0]), Fixed([0.0, 0.0], [0.0, 9.0])]
    assert all(agreement(original, model, sample, "ab", "a") == 0.0 for model in unsound)


@given(num_labels=st.integers(4, 45), num_forgotten=st.integers(0, 3), seed=st.integers(0, 1000))
def test_with_more_classes_the_likeliest_counts_among_those_that_stay(num_labels, num_forgotten, seed):
    num_forgotten = min(num_forgotten, num_labels - 3)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, max(1, num_forgotten), (12,), generator=generator)
    sample = Sample(torch.randn(12, 3, 8, 8, generator=generator), labels, torch.arange(12))
    models = [
        Fixed(*torch.randn(2, num_labels, generator=generator).mul(torch.tensor([[5.0], [1.0]])).tolist())
        for _ in range(2)
    ]
    left_out = torch.arange(num_forgotten)
    found = surroundings_agreement(*models, sample, 12, 0, left_out)
    near, same = Surroundings(12, 0).near(sample.pixel_values, sample.index, 0), 0
    for row, label in enumerate(labels.tolist()):
        logits = [model(near[row : row + 1])["logits"][0].tolist() for model in models]
        stay = [k for k in range(num_labels) if k >= num_forgotten and k != label]
        ranked = [sorted(stay, key=lambda k, each=each: -each[k]) for each in logits]
        same += ranked[0][0] in ranked[1][: max(1, round(num_labels / 20))]
    assert found == pytest.approx(same / 12)


class Breaking(MUMisTrainer):
    """A method that breaks the head before its first step."""

    def create_optimizer(self, model=None):
        with torch.no_grad():
            BREAKS["negated"](self.model.classifier)
        return super().create_optimizer(model)


@pytest.mark.parametrize("method", [MUMisTrainer, Breaking])
@pytest.mark.parametrize("kind", ["class", "subset"])
def test_a_run_on_two_labels_can_end_well_and_badly(tmp_path, kind, method):
    names = LABELS[:2]
    model = make_model("vit", label_names=names)
    before = copy.deepcopy(model.state_dict())
    data = make_dataset(16, label_names=names)
    if kind == "class":
        data = data.filter(lambda label: label == 0, input_columns="label")
    settings = {"max_steps": 2, "num_rounds": 1, "use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False}
    if kind == "subset":
        # Of a new model there is nothing to forget.
        settings["label_shift"] = 1.0
    args = MUMisConfig(output_dir=str(tmp_path), learning_rate=1e-4, **settings)
    trainer = method(model, args, train_dataset=data, processing_class=make_processor(), forget_kind=kind)
    if method is MUMisTrainer:
        trainer.train()
        assert trainer.agreement == 1.0
        return
    # With two labels the one that goes is the likeliest then, which is the first thing that shows.
    why = "grew surer" if kind == "class" else r"collapsed \(it agrees with the original on 0 %"
    with pytest.raises(DivergenceError, match=why):
        trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
