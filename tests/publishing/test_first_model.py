"""A model that was unlearned before, and the first one: as the guard, and as where `unlearn` begins once more."""

from __future__ import annotations

import copy
import gc
import math
import shutil

import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import (
    DeleteConfig,
    DeleteTrainer,
    FineTuneConfig,
    FineTuneTrainer,
    ForgetRequest,
    GradientAscentConfig,
    GradientAscentTrainer,
    MUMisConfig,
    MUMisTrainer,
    UnlearningError,
    make_splits,
)
from hf_unlearn.commands.main import main
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.objectives import shifted_divergence
from hf_unlearn.publishing.destination import difference
from hf_unlearn.publishing.earlier import earlier_of, first_model
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.secrecy import published
from hf_unlearn.request.kept import read_forget_set
from tests.publishing.conftest import GREEN, RED, again
from tests.tiny import make_dataset, make_model, make_processor, make_reference


def test_the_first_model_is_the_guard_only_where_it_can_be_had(chain, tmp_path, caplog):
    model = load_image_classifier(str(chain / "1"))
    earlier = earlier_of(str(chain / "1"), model)
    first = str(tmp_path / "first")
    make_model().save_pretrained(first)
    assert first_model(earlier, model)[1] == "the record does not say where it is"
    earlier[0]["kept"]["original_model"] = first
    found, why_not = first_model(earlier, model)
    assert why_not == "" and not found.training and not any(each.requires_grad for each in found.parameters())
    assert weights_digest(found) == earlier[0]["weights_sha256"]["original"]
    make_model(seed=4).save_pretrained(first)
    assert "holds other weights by now" in first_model(earlier, model)[1]
    shutil.rmtree(first)
    assert "first" in first_model(earlier, model)[1]
    trainer = again(chain / "1", tmp_path / "f", GREEN)
    assert trainer.guide is trainer.original_model
    assert "the guard is the model as the earlier requests left it" in caplog.text


def test_where_the_first_model_lies_is_kept_beside_the_next_and_nowhere_else(chain, tmp_path):
    kept = read_forget_set(chain / "2")
    assert kept["original_model"] == str(chain / "1")
    assert "original_model" not in read_forget_set(chain / "1")
    said = (chain / "2" / "unlearning.json").read_text() + (chain / "2" / "README.md").read_text()
    assert str(chain) not in said


@pytest.mark.parametrize(
    ("trainer_class", "config_class", "keeps"),
    [
        (MUMisTrainer, MUMisConfig, True),
        (DeleteTrainer, DeleteConfig, True),
        (GradientAscentTrainer, GradientAscentConfig, False),
        (FineTuneTrainer, FineTuneConfig, False),
    ],
)
def test_other_methods_say_that_nothing_keeps_earlier_classes_away(
    chain, tmp_path, caplog, trainer_class, config_class, keeps
):
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    splits = make_splits(data, GREEN, dataset_name="someone/colours")
    args = config_class(str(tmp_path / "f"), use_cpu=True, dataloader_pin_memory=False, report_to="none")
    trainer = trainer_class(str(chain / "1"), args, splits)
    said = [line for line in caplog.messages if "keeps away the 1 classes that this model forgot before" in line]
    assert len(said) == (trainer.retain_free and not keeps)
    if not trainer.retain_free:
        # Those that go on from retained samples are not shown what was forgotten.
        assert 0 not in trainer.retain_dataset.labels and len(trainer.retain_dataset) == 16
        assert 0 in splits.retain_labels()


def test_delete_masks_what_went_before(chain, tmp_path):
    data = DatasetDict({"train": make_dataset(32)})
    args = DeleteConfig(str(tmp_path / "f"), use_cpu=True, dataloader_pin_memory=False, report_to="none")
    trainer = DeleteTrainer(str(chain / "1"), args, make_splits(data, GREEN))
    inputs = next(iter(trainer.get_train_dataloader()))
    with torch.no_grad():
        losses, outputs, _ = trainer.unlearning_loss(trainer.model, inputs)
        said = trainer.original_model(pixel_values=inputs["pixel_values"]).logits
    lowered = torch.zeros_like(said, dtype=torch.bool).index_fill(1, torch.tensor([0, 1]), True)
    assert torch.allclose(losses, shifted_divergence(outputs["logits"], said, lowered, math.inf))
    assert (losses > 0).all()


def test_a_model_in_memory_that_was_unlearned_is_known_again(tmp_path):
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    red, green = (make_splits(data, request, dataset_name="someone/colours") for request in (RED, GREEN))

    def trainer_of(model, splits, name):
        args = DeleteConfig(str(tmp_path / name), use_cpu=True, dataloader_pin_memory=False, report_to="none")
        args.max_steps = 2
        return DeleteTrainer(model, args, splits, processing_class=make_processor())

    model = make_reference()
    trainer = trainer_of(model, red, "red")
    assert trainer.earlier == []
    trainer.train()
    with pytest.raises(UnlearningError, match="class 'red' was forgotten before, by request 1 of 1"):
        trainer_of(trainer.model, red, "again")
    second = trainer_of(trainer.model, green, "green")
    assert second.earlier_labels.tolist() == [0] and second.earlier[0]["request"]["classes"] == ["red"]
    # One that did not meet its request is still to be met.
    met = {"checks": {"forget_accuracy": {"before": 90.0, "after": 50.0}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "record", lambda run=trainer: {**type(run).record(run), **met})
        assert trainer_of(trainer.model, red, "again").earlier == []
    # So is a copy of it, and a model that its weights were put into, when nobody has the trainer any more.
    copied, other = copy.deepcopy(model), make_reference(seed=7)
    other.load_state_dict(model.state_dict())
    del trainer, second, model
    gc.collect()
    for known in (copied, other):
        with pytest.raises(UnlearningError, match="class 'red' was forgotten before, by request 1 of 1"):
            trainer_of(known, red, "again")
        third = trainer_of(known, green, "green")
        assert third.earlier_labels.tolist() == [0] and third.earlier[0]["kept"]["num_forget"] == len(red.forget)
    # Other weights are of another model.
    with torch.no_grad():
        next(copied.parameters()).add_(1e-3)
    assert trainer_of(copied, red, "copy").earlier == []


def test_weights_that_no_run_changed_are_not_taken_for_unlearned(tmp_path):
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    splits = make_splits(data, ForgetRequest(indices=(0, 5, 9)), dataset_name="someone/colours")
    args = MUMisConfig(str(tmp_path), use_cpu=True, dataloader_pin_memory=False, report_to="none", disable_tqdm=True)
    model = make_model()
    trainer = MUMisTrainer(copy.deepcopy(model), args, splits, processing_class=make_processor())
    # Of a new model there is nothing to forget that could be measured.
    trainer.train()
    assert trainer.state.global_step == 0
    assert MUMisTrainer(model, args, splits, processing_class=make_processor()).earlier == []


def test_a_model_object_from_the_hub_is_known_again(connected_hub, chain, tmp_path):
    push_folder(chain / "1", "org/forgot", push_anyway=True)
    model = load_image_classifier("org/forgot")
    data = DatasetDict({"train": make_dataset(32)})
    args = DeleteConfig(str(tmp_path / "f"), use_cpu=True, dataloader_pin_memory=False, report_to="none")
    with pytest.raises(UnlearningError, match="class 'red' was forgotten before"):
        DeleteTrainer(model, args, make_splits(data, RED))
    assert DeleteTrainer(model, args, make_splits(data, GREEN)).earlier_labels.tolist() == [0]


@pytest.fixture
def forgot_red(tmp_path):
    """Words of the command but for output and request, the first model, and the one that forgot red of it."""
    first, data = str(tmp_path / "first"), str(tmp_path / "data")
    make_model().save_pretrained(first)
    make_processor().save_pretrained(first)
    DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)}).save_to_disk(data)
    words = ["unlearn", "--method", "delete", "--dataset_name", data, "--use_cpu", "--max_steps", "2"]
    words += ["--disable_tqdm", "true"]
    red = str(tmp_path / "red")
    assert main([*words, "--model_name_or_path", first, "--forget_classes", "red", "--output_dir", red]) == 0
    return words, first, red


def test_unlearn_begins_at_the_first_model_with_all_requests(forgot_red, tmp_path, capsys):
    words, first, red = forgot_red
    both = str(tmp_path / "both")
    words = [*words, "--model_name_or_path", red, "--forget_classes", "green", "--output_dir", both]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "began   at the first model, with 1 earlier requests again: the classes 'green' and 'red'" in said
    before, after = read_record(red), read_record(both)
    assert after["weights_sha256"]["original"] == before["weights_sha256"]["original"] and after["earlier"] == []
    assert after["request"]["classes"] == ["green", "red"] and after["begins_with"] == "first"
    assert after["takes_place_of"] == [before["weights_sha256"]["unlearned"]]
    shown = published(after)
    assert "takes_place_of" not in shown and difference(published(before), after) is None
    card = (tmp_path / "both" / "README.md").read_text()
    assert "all requests so far were unlearned together, from the first model" in card
    # And once more; a record of records.
    third = str(tmp_path / "third")
    assert main([*words[:-4], "blue", "--model_name_or_path", both, "--output_dir", third]) == 2
    words = words[: words.index("--model_name_or_path")]
    assert main([*words, "--model_name_or_path", both, "--forget_classes", "blue", "--output_dir", third]) == 0
    assert read_record(third)["request"]["classes"] == ["blue", "green", "red"]
    assert difference(published(before), read_record(third)) is None


def test_what_was_not_to_be_published_of_a_request_stays_so_when_it_is_met_anew(forgot_red, tmp_path):
    words, first, _ = forgot_red
    red, both = str(tmp_path / "hidden"), str(tmp_path / "both")
    red_words = ["--model_name_or_path", first, "--forget_classes", "red", "--output_dir", red]
    assert main([*words, *red_words, "--private_names"]) == 0
    green = ["--model_name_or_path", red, "--forget_classes", "green", "--output_dir", both]
    assert main([*words, *green, "--publish_request", "true"]) == 0
    record = read_record(both)
    assert record["request"]["classes"] == ["green", "red"] and record["begins_with"] == "first"
    assert record["disclosure"] == {"request": False, "names": False, "sources": False}
    said = (tmp_path / "both" / "unlearning.json").read_text() + (tmp_path / "both" / "README.md").read_text()
    assert "'red'" not in said and '"red"' not in said and "of_red" not in said


def test_unlearn_goes_on_where_it_is_asked_to_or_where_the_first_cannot_be_had(forgot_red, tmp_path, capsys):
    words, first, red = forgot_red
    words = [*words, "--model_name_or_path", red]
    green = ["--forget_classes", "green", "--output_dir", str(tmp_path / "on")]
    assert main([*words, *green, "--begin_with", "newest"]) == 0
    assert "began   on from the model as the earlier requests left it\n" in capsys.readouterr().out
    record = read_record(str(tmp_path / "on"))
    assert record["begins_with"] == "newest" and len(record["earlier"]) == 1
    assert "unlearned from the model as the requests before had left it" in (tmp_path / "on" / "README.md").read_text()
    person = ["--forget_where", "person=p1", "--output_dir", str(tmp_path / "person")]
    assert main([*words, *person]) == 0
    assert "left it: which samples request 1 meant is not told beside the model" in capsys.readouterr().out
    other = DatasetDict({"train": make_dataset(40)})
    other.save_to_disk(str(tmp_path / "other"))
    words[words.index("--dataset_name") + 1] = str(tmp_path / "other")
    assert main([*words, "--forget_classes", "green", "--output_dir", str(tmp_path / "of-other")]) == 0
    assert "left it: request 1 was of another dataset" in capsys.readouterr().out
    shutil.rmtree(first)
    words[words.index("--dataset_name") + 1] = str(tmp_path / "data")
    assert main([*words, "--forget_classes", "green", "--output_dir", str(tmp_path / "gone")]) == 0
    assert f"left it: model {first!r}" in capsys.readouterr().out
