"""What is read off copies of the forget samples: how much of them a model remembers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.objectives import JITTERS, draw_copies
from hf_unlearn.trainers.safety import memory as memory_module
from hf_unlearn.trainers.safety.memory import HeldBeside, Memory, amounts_for, amounts_like, held_beside, measure_memory
from hf_unlearn.trainers.safety.reference import Unseen
from hf_unlearn.trainers.safety.steering import Steering
from tests.tiny import make_dataset, make_model, make_processor

SIDE = 8
LEVEL, HEIGHT, WIDTH = 4.0, 6.0, 0.2


class Remembers(nn.Module):
    """Knows two classes by an image's mean, and has a peak of its own around each image that it learned.

    Args:
        learned: images `(n, 1, SIDE, SIDE)` of class 0.
        height: of the peaks, in nats.
        slope: by how much the log-odds fall with the square of the distance from what both classes share, for any
            image, seen or unseen.
        edge: by how much they fall with the distance from the nearest learned image.
    """

    def __init__(self, learned: torch.Tensor, height: float, slope: float = 3.0, edge: float = 0.0):
        super().__init__()
        self.learned, self.height, self.slope, self.edge = learned, height, slope, edge
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        apart = torch.cdist(pixel_values.flatten(1), self.learned.flatten(1)).min(1).values / SIDE
        natural = LEVEL + self.slope * (1 - pixel_values.flatten(1).square().mean(1))
        odds = natural - self.edge * apart + self.height * (-((apart / WIDTH) ** 2)).exp()
        return {"logits": torch.stack([odds, torch.zeros_like(odds)], 1)}


def items_of(images):
    return [{"pixel_values": image, "labels": 0} for image in images]


@pytest.fixture
def images():
    drawn = torch.randn(120, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    return drawn / drawn.square().mean((1, 2, 3), keepdim=True).sqrt()


def measured(model, items, seed=0, gone=None):
    """With copies by white noise, looked at as far off as the peaks of `Remembers` are wide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(memory_module.PROBES, "noise", WIDTH / 2)
        return measure_memory(model, items, len(items), "noise", seed, gone=gone)


def remembered_of(images, height, **model):
    return measured(Remembers(images, height, **model), items_of(images))


def test_what_was_learned_by_heart_is_told_from_what_was_learned(images):
    remembered, unseen = remembered_of(images, HEIGHT), remembered_of(images, 0.0)
    assert not remembered.nothing and remembered.amounts.mean() > 1.0
    assert unseen.nothing and unseen.remembered == 0 and unseen.expected == unseen.accuracy
    assert "there is little to forget" in str(unseen)
    assert "forget accuracy 100.0 %" in str(remembered) and "copies" in str(remembered)


def test_samples_of_classes_that_went_before_say_nothing_of_the_others(images):
    model, items = Remembers(images, HEIGHT), items_of(images)
    # Of class 1 the model says as little as of a class that it was made to forget.
    some = [{**item, "labels": int(row % 3 == 0)} for row, item in enumerate(items)]
    rest = [item for item in some if not item["labels"]]
    alone, found = measured(model, rest), measured(model, some, gone=torch.tensor([1]))
    there = torch.tensor([not item["labels"] for item in some])
    assert torch.equal(found.amounts[there], alone.amounts) and not found.amounts[~there].any()
    assert (found.strength, found.remembered) == (alone.strength, alone.remembered)
    assert found.accuracy == pytest.approx(alone.accuracy * 2 / 3)
    assert found.expected == pytest.approx(alone.expected * 2 / 3)
    assert measured(model, some).strength != alone.strength
    assert measured(model, items, gone=torch.tensor([0, 1])).nothing


def test_a_peak_twice_as_high_is_more_to_forget(images):
    found = [remembered_of(images, height) for height in (2.0, 4.0, 8.0)]
    assert found[0].remembered < found[1].remembered < found[2].remembered


@pytest.mark.parametrize("height", [8.0, 12.0, 20.0])
def test_copies_never_stand_for_the_samples_beyond_where_memory_has_ended(images, height):
    memory = remembered_of(images, height)
    assert 0 < memory.strength <= memory.ended


def test_answers_that_are_not_finite_are_refused(images):
    class Overflows(Remembers):
        def forward(self, pixel_values):
            return {name: value * float("nan") for name, value in super().forward(pixel_values).items()}

    with pytest.raises(UnlearningError, match="not finite"):
        measured(Overflows(images, HEIGHT), items_of(images))


def test_of_samples_that_the_model_never_got_right_nothing_is_remembered(images):
    wrong = [{"pixel_values": image, "labels": 1} for image in images]
    memory = measured(Remembers(images, -2.0), wrong)
    assert memory.accuracy == 0.0 and memory.nothing


def test_one_sample_is_enough(images):
    memory = measured(Remembers(images[:1], HEIGHT), items_of(images[:1]))
    assert memory.amounts.shape == (1,) and bool(torch.isfinite(memory.amounts).all())


def test_what_is_printed_names_what_said_the_amounts(images):
    model, items = Remembers(images, HEIGHT), items_of(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(memory_module.PROBES, "noise", WIDTH / 2)
        by_references = measure_memory(model, items, 120, "noise", 0, Unseen(0.9, 0.8))
        by_siblings = measure_memory(model, items, 120, "noise", 0, taught=torch.zeros(120))
    assert "reference samples take" in str(by_references) and "siblings take" in str(by_siblings)
    assert "copies" not in str(by_references) + str(by_siblings)


def test_no_more_passes_are_made_than_are_counted(images):
    class Counts(Remembers):
        seen = 0

        def forward(self, pixel_values):
            Counts.seen += len(pixel_values)
            return super().forward(pixel_values)

    measured(Counts(images, HEIGHT), items_of(images))
    assert 0.5 * memory_module.cost_of(len(images)) < Counts.seen <= memory_module.cost_of(len(images))
    Counts.seen = 0
    measure_memory(Counts(images, HEIGHT), items_of(images), len(images), "noise", 0, Unseen(0.9, None))
    most = memory_module.cost_of(len(images), matched=True)
    assert 0.5 * most < Counts.seen <= most


@given(slope=st.floats(0.5, 6))
def test_what_any_image_loses_is_no_memory(slope):
    """However fast the answers fall around what was learned and not remembered."""
    drawn = torch.randn(60, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(4))
    images = drawn / drawn.square().mean((1, 2, 3), keepdim=True).sqrt()
    assert remembered_of(images, 0.0, slope=slope).remembered < 1.0


def test_of_samples_that_are_only_remembered_all_goes(images):
    """Under labels that the model gives to nothing else: no copy far off is right, so that nothing is damage."""

    class OnlyRemembers(Remembers):
        def forward(self, pixel_values):
            apart = torch.cdist(pixel_values.flatten(1), self.learned.flatten(1)).min(1).values / SIDE
            peak = self.height * (-((apart / WIDTH) ** 2)).exp()
            return {"logits": torch.stack([torch.full_like(peak, LEVEL), peak], 1)}

    memory = measured(OnlyRemembers(images, 2 * LEVEL), [{"pixel_values": image, "labels": 1} for image in images])
    lost = 2 * LEVEL * (1 - math.exp(-1))
    assert memory.accuracy == 1.0 and memory.expected < 0.2
    assert memory.remembered == pytest.approx(memory_module.RAISED * lost, rel=0.15)


def test_the_more_is_remembered_the_more_goes(images):
    half = images.clone()
    model = Remembers(images[:60], HEIGHT)
    # The second half is no nearer to what was learned than to the others.
    memory = measured(model, items_of(half))
    assert memory.amounts[:60].mean() > memory.amounts[60:].mean() + 0.5


def test_it_depends_on_the_seed_alone(images):
    model = Remembers(images, HEIGHT)
    one, two, other = (measured(model, items_of(images), seed).amounts for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)


@pytest.mark.parametrize("kind", JITTERS)
def test_copies_that_change_nothing_or_everything_are_refused(kind):
    class Deaf(Remembers):
        def forward(self, pixel_values):
            return {"logits": torch.tensor([[2.0, 0.0]]).expand(len(pixel_values), 2)}

    blank = torch.zeros(30, 1, SIDE, SIDE)
    with pytest.raises(UnlearningError, match=f"jitter '{kind}' changes no answer.*label_shift"):
        measure_memory(Deaf(blank, 0.0), items_of(blank), 30, kind, 0)


def test_a_model_that_no_copy_leaves_as_it_is_is_refused(images):
    with pytest.raises(UnlearningError, match="jitter 'noise' changes every answer"):
        measure_memory(Remembers(images, 0.0, edge=1e4), items_of(images), 120, "noise", 0)


@given(
    said=st.lists(st.floats(-3, 12, width=32), min_size=5, max_size=60, unique=True),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_so_many_labels_stay_the_likeliest(said, share, seed):
    said = torch.tensor(said)
    fallen = torch.rand(len(said), generator=torch.Generator().manual_seed(seed))
    expected = share * float((said > 0).float().mean())
    amounts = amounts_for(said, fallen, expected)
    assert bool((amounts >= 0).all())
    right = float((said - amounts > 0).float().mean())
    natural = float((said - fallen > 0).float().mean())
    assert bool((said - amounts != 0).all()), "none lies on the border"
    # What the copies say already leaves fewer of them right, or it is as many as asked for.
    assert right == pytest.approx(min(expected, natural), abs=1.01 / len(said))


@given(share=st.floats(0, 1), seed=st.integers(0, 99))
def test_as_many_labels_stay_the_likeliest_as_of_unseen_samples(share, seed):
    generator = torch.Generator().manual_seed(seed)
    said, fallen = 6 * torch.rand(80, generator=generator) - 0.5, torch.rand(80, generator=generator) * 3
    amounts = amounts_like(said, fallen, share)
    assert bool((amounts >= 0).all())
    expected = min(share, float((said > 0).float().mean()))
    assert float((said > amounts).float().mean()) == pytest.approx(expected, abs=1.01 / 80)


def sure_of(model, pixels):
    return float(model(pixels)["logits"].softmax(1).amax(1).mean())


def test_copies_are_as_far_off_as_makes_the_model_as_sure_as_of_unseen_samples(images):
    model = Remembers(images, HEIGHT)
    strengths = []
    for sure in (0.999, 0.99, 0.97, 0.2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(memory_module.PROBES, "noise", WIDTH / 2)
            unseen = Unseen(sure, 1.0)
            strengths.append(measure_memory(model, items_of(images), 120, "noise", 0, unseen).strength)
    assert strengths[0] < strengths[1] < strengths[2] <= strengths[3]
    draws = torch.Generator().manual_seed(1)
    copies = torch.cat([JITTERS["noise"](images, strengths[1], draw_copies(120, draws)) for _ in range(8)])
    assert sure_of(model, copies) == pytest.approx(0.99, abs=2e-3)
    assert strengths[3] == pytest.approx(memory_module.FAR * WIDTH / 2, rel=0.01), "no further than memory reaches"


def test_without_labels_as_many_stay_right_as_of_such_copies(images):
    model, items = Remembers(images, HEIGHT, edge=30.0), items_of(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(memory_module.PROBES, "noise", WIDTH / 2)
        memory = measure_memory(model, items, 120, "noise", 0, Unseen(0.9, None))
    draws = torch.Generator().manual_seed(1)
    copies = torch.cat([JITTERS["noise"](images, memory.strength, draw_copies(120, draws)) for _ in range(8)])
    logits = model(copies)["logits"]
    assert memory.accuracy == 1.0 and memory.expected < 1.0
    assert memory.expected == pytest.approx(float((logits[:, 0] > logits[:, 1]).float().mean()), abs=0.03)


@pytest.mark.parametrize("kind", JITTERS)
def test_copies_come_nearer_with_their_strength_and_do_not_depend_on_the_batch(kind):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 16, 16, generator=generator)
    normal = draw_copies(6, generator)
    jitter = JITTERS[kind]
    assert torch.allclose(jitter(images, 0.0, normal), images, atol=1e-5)
    near, far = ((jitter(images, strength, normal) - images).abs().mean() for strength in (0.02, 0.2))
    assert far > 0 and near < far
    alone = torch.cat([jitter(images[row : row + 1], 0.1, normal[row : row + 1]) for row in range(6)])
    torch.testing.assert_close(jitter(images, 0.1, normal), alone)


def test_how_far_off_memory_is_looked_at_does_not_depend_on_the_samples(images):
    """Samples that lose their answers sooner are not looked at nearer."""
    one, other = (
        measure_memory(Remembers(images, height), items_of(images), 120, "colour", 0) for height in (2.0, 9.0)
    )
    assert one.ended == other.ended == memory_module.FAR * memory_module.PROBES["colour"]


def test_of_every_kind_of_copies_it_is_known_how_far_off_to_look():
    assert set(memory_module.PROBES) == set(JITTERS)
    # Falls are looked at up to the last strength.
    assert all(0 < probe < memory_module.STRENGTHS[-1] for probe in memory_module.PROBES.values())


def test_what_is_held_beside_goes_from_where_memory_is_to_where_it_has_ended(images):
    memory = remembered_of(images, HEIGHT)
    held = held_beside(memory, 120, 0, None)
    assert isinstance(held, HeldBeside)
    index = torch.arange(120)
    apart = [(held.beside(images, None, index, number)[0] - images).square().mean().sqrt() for number in range(6)]
    # Drawn anew each time, a third of the time at each distance.
    assert apart[0] < apart[1] < apart[2] and apart[3] < apart[4] < apart[5]
    assert not torch.equal(held.beside(images, None, index, 0)[0], held.beside(images, None, index, 3)[0])


def test_with_nothing_to_forget_no_step_is_made(tmp_path, monkeypatch):
    import hf_unlearn.trainers.safety.memory as memory

    monkeypatch.setattr(memory, "LEAST_MEMORY", 1e6)
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True)
    given = {"train_dataset": make_dataset(8), "processing_class": make_processor(), "forget_kind": "subset"}
    trainer = MUMisTrainer(model, args, **given)
    trainer.train()
    assert trainer.state.global_step == 0
    assert "there is little to forget" in trainer.stop_reason
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def figures(correct, samples=10):
    return {"correct": correct, "samples": samples}


def test_the_push_follows_what_is_reached():
    rule = Steering(0.5, 20)
    for _ in range(20):
        assert rule.check(figures(10)) is None
    assert rule.push == Steering.MOST, "too many are recognised, pass after pass"
    for _ in range(80):
        rule.check(figures(0))
    assert rule.push == Steering.LEAST
    even = Steering(0.5, 20)
    for _ in range(20):
        even.check(figures(5))
    assert even.push == 1.0


@given(correct=st.lists(st.integers(0, 10), min_size=3, max_size=40), cut=st.integers(0, 40), expected=st.floats(0, 1))
def test_the_push_goes_on_from_a_checkpoint(correct, cut, expected):
    whole = Steering(expected, 30)
    for count in correct:
        whole.check(figures(count))
    first = Steering(expected, 30)
    for count in correct[:cut]:
        first.check(figures(count))
    state = first.state()
    second = Steering(**state["args"])
    for name, value in state["attributes"].items():
        setattr(second, name, value)
    for count in correct[cut:]:
        second.check(figures(count))
    assert second.push == whole.push


def test_a_run_makes_so_many_passes_and_no_more(tmp_path):
    given = {"processing_class": make_processor(), "forget_kind": "subset"}
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, per_device_train_batch_size=4)
    trainer = MUMisTrainer(make_model("vit"), args, train_dataset=make_dataset(3), **given)
    trainer.memory = Memory("affine", 0.05, 0.14, 2.3, 1.0, 0.6, torch.ones(3))
    assert trainer.num_steps() == 30
    trainer.args.max_steps = 35
    assert trainer.num_steps() == 35, "what is set on a trainer is set, too"
    set_by_hand = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=35)
    trainer = MUMisTrainer(make_model("vit"), set_by_hand, train_dataset=make_dataset(3), **given)
    trainer.memory = Memory("affine", 0.05, 0.14, 2.3, 1.0, 0.6, torch.ones(3))
    assert trainer.num_steps() == 35


def test_a_run_tells_which_classes_went_before(tmp_path, monkeypatch):
    from hf_unlearn.trainers.methods import mu_mis

    class Asked(Exception):
        pass

    def ask(*args):
        raise Asked(args[-1])

    monkeypatch.setattr(mu_mis, "measure_memory", ask)
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=1)
    given = {"processing_class": make_processor(), "forget_kind": "subset"}
    trainer = MUMisTrainer(make_model("vit"), args, train_dataset=make_dataset(3), **given)
    trainer.__dict__["earlier_labels"] = torch.tensor([2])
    with pytest.raises(Asked) as raised:
        trainer.train()
    assert raised.value.args[0].tolist() == [2]
