"""What reference samples teach of a forgotten sub-class."""

from __future__ import annotations

import pytest
import torch

from hf_unlearn.trainers.safety import siblings
from hf_unlearn.trainers.safety.memory import Memory, held_beside
from hf_unlearn.trainers.safety.samples import Sample
from hf_unlearn.trainers.safety.siblings import mean_recall, what_siblings_teach


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(siblings, "STEPS", 30)


def dark_and_light(generator, count=60):
    """Of two classes, dark and light, `count` samples."""
    labels = (torch.arange(count) % 2).long()
    level = torch.where(labels == 0, -1.0, 1.0).view(-1, 1, 1, 1)
    pixels = level + 0.3 * torch.randn(count, 3, 16, 16, generator=generator)
    return Sample(pixels, labels, torch.arange(count))


def test_what_siblings_teach_of_a_sub_class():
    """A forgotten part of the dark that is light looks like the light to whoever never saw it."""
    references = dark_and_light(torch.Generator().manual_seed(0))
    alike, unlike = (references.pixel_values[references.labels == label][:10] for label in (0, 1))
    items = [{"pixel_values": image, "labels": 0} for image in torch.cat([alike, unlike])]
    before = torch.get_rng_state()
    taught = what_siblings_teach(items, 20, references)
    assert torch.equal(torch.get_rng_state(), before), "a run's own draws must not depend on it"
    assert taught.odds is not None
    assert taught.odds[:10].min() > 0 and taught.odds[10:].max() < 0
    assert "teach the labels of 50 % of the forget samples, and of 100 % of each other" in str(taught)
    assert torch.equal(what_siblings_teach(items, 20, references).odds, taught.odds), "a second time says the same"
    # A label that no reference sample has is taught by none.
    other = what_siblings_teach([{**item, "labels": 5} for item in items], 20, references)
    assert other.odds is not None and other.odds.max() < -20


def test_a_part_that_is_unlike_its_siblings_is_not_known():
    """Where the pixels tell the label by a shape that a line through the pixels does not: stripes of either phase."""
    generator = torch.Generator().manual_seed(1)
    labels = (torch.arange(120) % 2).long()
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    phases = 6.3 * torch.rand(120, generator=generator).view(-1, 1, 1)
    across, down = (torch.sin(each * 1.5 + phases) for each in (rows, columns))
    pixels = torch.where((labels == 0).view(-1, 1, 1), across, down).unsqueeze(1).repeat(1, 3, 1, 1)
    references = Sample(pixels[:100], labels[:100], torch.arange(100))
    items = [{"pixel_values": image, "labels": int(label)} for image, label in zip(pixels, labels, strict=True)][100:]
    wrong = [{**item, "labels": 1 - item["labels"]} for item in items]
    taught = what_siblings_teach([*items, *wrong], 40, references)
    assert taught.odds is not None
    assert (taught.odds[:20] > 0).float().mean() > 0.9 and (taught.odds[20:] < 0).float().mean() > 0.9


def test_references_that_do_not_teach_each_other_are_not_asked():
    generator = torch.Generator().manual_seed(0)
    noise = Sample(torch.randn(60, 3, 8, 8, generator=generator), torch.arange(60) % 4, torch.arange(60))
    items = [{"pixel_values": noise.pixel_values[0], "labels": 0}]
    taught = what_siblings_teach(items, 1, noise)
    assert taught.odds is None and taught.accuracy < 0.6
    assert "too few to say what siblings teach" in str(taught)
    one = Sample(noise.pixel_values, torch.zeros(60, dtype=torch.long), noise.index)
    assert what_siblings_teach(items, 1, one).odds is None, "one class teaches nothing of another"


@pytest.mark.parametrize("period", [5, 10])
def test_labels_that_come_in_turn_are_parted_like_others(period):
    """Every fifth sample left out would leave out a whole class."""
    generator = torch.Generator().manual_seed(2)
    labels = (torch.arange(100) % period).long()
    pixels = torch.zeros(100, 3, 16, 16) + 0.05 * torch.randn(100, 3, 16, 16, generator=generator)
    pixels[:, 0] += labels.view(-1, 1, 1) / period
    pixels[:, 1] += (labels % 2).view(-1, 1, 1)
    items = [{"pixel_values": pixels[0], "labels": 0}]
    found = what_siblings_teach(items, 1, Sample(pixels, labels, torch.arange(100)))
    assert found.accuracy > 0.5


def test_to_answer_with_the_commonest_label_is_no_knowledge():
    labels = torch.tensor([0] * 90 + [1] * 10)
    right = (labels == 0).double()
    assert mean_recall(right, labels) == 0.5
    assert mean_recall(torch.ones(4).double(), torch.tensor([3, 3, 3, 5])) == 1.0
    generator = torch.Generator().manual_seed(0)
    noise = Sample(
        torch.randn(100, 3, 8, 8, generator=generator),
        labels[torch.randperm(100, generator=generator)],
        torch.arange(100),
    )
    items = [{"pixel_values": noise.pixel_values[0], "labels": 0}]
    assert what_siblings_teach(items, 1, noise).odds is None


def test_one_process_finds_it_out_for_all(monkeypatch):
    """Networks that learned the same on two machines differ in rounding: all processes lower by the first one's."""
    sent = []

    def broadcast(found):
        sent.append(found)
        return ["what the first one says"]

    class Second:
        is_main_process = False

    monkeypatch.setattr(siblings, "PartialState", Second)
    monkeypatch.setattr(siblings, "broadcast_object_list", broadcast)
    references = dark_and_light(torch.Generator().manual_seed(0))
    assert what_siblings_teach([], 0, references) == "what the first one says"
    assert sent == [[None]]


def test_siblings_are_held_and_no_copies_of_what_is_forgotten():
    references = dark_and_light(torch.Generator().manual_seed(0), 40)
    memory = Memory("affine", 0.0, 0.1, 1.0, 1.0, 0.0, torch.ones(12), source="siblings")
    labels = torch.tensor([0, 1, 5] * 4)
    forget, index = torch.zeros(12, 3, 16, 16), torch.arange(12)
    held = held_beside(memory, 12, 0, references)
    first = held.beside(forget, labels, index, 0)
    assert len(first) == 2 and all(each.shape == forget.shape for each in first)

    def rows_of(pixels):
        return [int((references.pixel_values - each).abs().flatten(1).sum(1).argmin()) for each in pixels]

    for label, row, pixels in zip(labels.tolist(), rows_of(first[0]), first[0], strict=True):
        # At no strength copies are the reference samples themselves, up to the resampling's rounding.
        assert torch.allclose(references.pixel_values[row], pixels, atol=1e-4)
        assert label == 5 or int(references.labels[row]) == label
    assert len({int(references.labels[row]) for row in rows_of(first[1])}) == 2, "the others are of any label"
    again = held.beside(forget[3:], labels[3:], index[3:], 0)
    assert all(torch.equal(one[3:], other) for one, other in zip(first, again, strict=True)), "whatever the batch"
    assert rows_of(held.beside(forget, labels, index, 1)[0]) != rows_of(first[0]), "drawn anew in each pass"
