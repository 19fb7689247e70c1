"""Reference samples: what is refused of them, and what they say."""

from __future__ import annotations

import logging

import pytest
import torch

from hf_unlearn import MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.trainers.safety.reference import ASKS_FOR_REFERENCES, References
from tests.tiny import make_dataset, make_model, make_processor
from tests.trainers import runs


def make(tmp_path, references, kind="subset", **settings):
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, **{"max_steps": 2, **settings})
    return MUMisTrainer(
        make_model("vit"),
        args,
        train_dataset=make_dataset(8),
        reference_dataset=references,
        processing_class=make_processor(),
        forget_kind=kind,
    )


def test_a_forget_sample_is_no_reference(tmp_path):
    both = make_dataset(24, seed=5)
    mixed = torch.utils.data.ConcatDataset([_items(both), _items(make_dataset(8).select([3]))])
    trainer = make(tmp_path, mixed)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    with pytest.raises(UnlearningError, match="reference sample 24 is forget sample 3: the same image"):
        trainer.train()
    assert all(torch.equal(before[name], value) for name, value in trainer.model.state_dict().items())


def _items(dataset):
    from hf_unlearn.data.reading import as_pixels

    return as_pixels(dataset, make_model("vit"), make_processor(), "image", "label")


def test_references_of_other_classes_alone_are_refused(tmp_path):
    forget = make_dataset(24).filter(lambda label: label == 0, input_columns="label")
    others = make_dataset(40, seed=5).filter(lambda label: label != 0, input_columns="label")
    trainer = make(tmp_path, others)
    trainer.train_dataset = _items(forget)
    with pytest.raises(
        UnlearningError, match=r"none of 30 reference samples is of a class of the forget set \('red'\)"
    ):
        trainer.train()


def test_too_few_references_set_no_level(tmp_path, caplog):
    trainer = make(tmp_path, make_dataset(12, seed=5))
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "12 reference samples are too few" in caplog.text
    assert trainer.memory is not None


def test_a_sub_class_asks_for_references(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        make(tmp_path, None, "subclass").train()
    assert ASKS_FOR_REFERENCES in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        make(tmp_path, make_dataset(24, seed=5), "subclass").train()
    assert ASKS_FOR_REFERENCES not in caplog.text


def test_which_data_were_used_is_said(tmp_path):
    assert make(tmp_path, None).data_used == "the samples to forget alone, without retained data"
    assert make(tmp_path, make_dataset(24, seed=5)).data_used == "the samples to forget and reference samples"
    unlabelled = make_dataset(24, seed=5).select_columns(["image"])
    assert make(tmp_path, unlabelled).data_used == "the samples to forget and unlabelled reference samples"
    both = runs.make(tmp_path, "regun").data_used
    assert both == "the samples to forget, all retained data and reference samples"
    assert runs.make(tmp_path, "fine_tune").data_used == "the samples to forget and all retained data"


def test_the_references_hold_the_model(tmp_path):
    trainer = make(tmp_path, make_dataset(24, seed=5), per_device_train_batch_size=4)
    seen = []
    trainer.train()
    original = trainer.original_model.forward

    def watch(pixel_values):
        seen.append(pixel_values)
        return original(pixel_values=pixel_values)

    trainer.original_model.forward = watch
    trainer.model.train()
    batch = trainer.data_collator([trainer.train_dataset[row] for row in range(4)])
    trainer.unlearning_loss(trainer.model, batch)
    # The samples, what is near them, copies of them, and as many references.
    (pixels,) = seen
    assert len(pixels) == 16
    references = {bytes(image.numpy().tobytes()) for image in trainer.references.pixel_values}
    assert all(bytes(image.numpy().tobytes()) in references for image in pixels[12:])


def test_where_references_have_no_labels_the_answers_of_the_original_stand_for_them(tmp_path):
    data = make_dataset(24, seed=5)
    trainer, labelled = make(tmp_path, data.select_columns(["image"])), make(tmp_path, data)
    assert trainer.references is not None and labelled.references is not None
    assert not trainer.references.labelled and labelled.references.labelled
    with torch.no_grad():
        answers = trainer.original_model(trainer.references.pixel_values)["logits"].argmax(1)
    assert trainer.references.labels.tolist() == answers.tolist()
    # A level of confidence in labels is not known, but how sure the original is of them.
    assert trainer.references.odds is None and trainer.unseen_odds is None
    assert trainer.references.like(trainer.references.labels).accuracy is None
    torch.testing.assert_close(trainer.references.largest, labelled.references.largest)
    trainer.train()
    assert trainer.memory is not None and trainer.memory.source == "reference samples"


def test_siblings_without_labels_are_learned_by_the_answers_of_the_original(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        make(tmp_path, make_dataset(24, seed=5).select_columns(["image"]), "subclass").train()
    assert ASKS_FOR_REFERENCES not in caplog.text and "of each other they teach" in caplog.text


@pytest.mark.parametrize("method", ["regun", "scar"])
def test_methods_that_need_labels_say_so(tmp_path, method):
    with pytest.raises(UnlearningError, match="needs labelled samples .* the reference samples have no labels"):
        runs.make(tmp_path, method, unseen=make_dataset(24, seed=5).select_columns(["image"]))


def test_a_level_of_confidence_needs_labels(tmp_path):
    unlabelled = make_dataset(24, seed=5).select_columns(["image"])
    with pytest.raises(UnlearningError, match="no labelled unseen samples were given"):
        make(tmp_path, unlabelled, stop_rule="unseen", label_shift=1.0)


def references_of(labels, odds, largest):
    count = len(labels)
    return References(
        torch.zeros(count, 1, 2, 2), torch.tensor(labels), torch.arange(count), True, torch.tensor(largest), odds
    )


def test_classes_count_as_often_as_among_the_forget_samples():
    """Of class 0 all are right, of class 1 none; nobody asks for class 2."""
    odds = torch.tensor([1.0] * 30 + [-1.0] * 10 + [1.0] * 60)
    references = references_of([0] * 30 + [1] * 10 + [2] * 60, odds, [0.9] * 30 + [0.5] * 10 + [0.1] * 60)
    like = references.like(torch.tensor([0, 1, 1, 1]))
    assert like.accuracy == pytest.approx(0.25) and like.sureness == pytest.approx(0.25 * 0.9 + 0.75 * 0.5)
    # A class that no reference sample is of.
    assert references.like(torch.tensor([0, 7, 7])) == pytest.approx((0.9, 1.0))
    # Too few of them to tell.
    assert references.like(torch.tensor([1, 1])).accuracy == pytest.approx(0.9)
