"""What is saved is whole or not there, and the only model in its folder."""

from __future__ import annotations

import logging
import os

import pytest
import torch

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.adapters import is_adapter
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.trainers.base.checkpoints import last_whole_checkpoint
from tests.tiny import make_adapter, make_model
from tests.trainers.runs import make

FULL = OSError(28, "No space left on device")


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


def ended(trainer):
    """As if its run had ended well."""
    trainer.progress = "finished"
    return trainer


def names(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else None


@pytest.mark.parametrize("error", [FULL, ValueError("no such row"), UnlearningError("unreadable")])
def test_a_run_is_not_lost_for_what_cannot_be_read_after_it(tmp_path, monkeypatch, caplog, error):
    trainer = make(tmp_path, "delete", max_steps=1)
    before = trainer.model.classifier.weight.detach().clone()
    monkeypatch.setattr(type(trainer), "record", raising(error))
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.progress == "finished" and not torch.equal(trainer.model.classifier.weight, before)
    assert f"will not be known again by themselves: {type(error).__name__}: {error}" in caplog.text


@pytest.mark.parametrize("kind", ["whole", "adapter"])
def test_a_disk_that_is_full_leaves_no_half_of_a_model(tmp_path, monkeypatch, kind):
    trainer = ended(make(tmp_path, "delete", model=make_adapter() if kind == "adapter" else make_model("vit")))
    there, new = tmp_path / "there", tmp_path / "new"
    make_model("vit", seed=1).save_pretrained(there)
    before = names(there), (there / "model.safetensors").read_bytes()
    # The weights are written by then.
    monkeypatch.setattr(type(trainer.processing_class), "save_pretrained", raising(FULL))
    for folder in (there, new):
        with pytest.raises(UnlearningError, match="could not be saved: .*No space left on device"):
            trainer.save_model(str(folder))
    assert (names(there), (there / "model.safetensors").read_bytes()) == before and not new.exists()


@pytest.mark.parametrize("error", [FULL, RuntimeError("PytorchStreamWriter failed writing file"), KeyboardInterrupt()])
def test_a_checkpoint_that_is_not_whole_is_removed(tmp_path, monkeypatch, error):
    trainer = make(tmp_path, "delete", save_strategy="steps", save_steps=1, num_train_epochs=2)
    save = torch.save

    def save_one(held, path, *args, **kwargs):
        if "checkpoint-2" in str(path) and str(path).endswith("scheduler.pt"):
            raise error
        return save(held, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", save_one)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else UnlearningError):
        trainer.train()
    assert names(tmp_path) == ["checkpoint-1"]
    assert last_whole_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-1")


def test_the_other_kind_of_model_does_not_stay(tmp_path):
    folder = str(tmp_path / "out")
    adapter = ended(make(tmp_path, "delete", model=make_adapter()))
    whole = ended(make(tmp_path, "delete", model=make_model("vit")))
    for trainer, kind in ((adapter, True), (whole, False), (adapter, True)):
        trainer.save_model(folder)
        if kind:
            assert "model.safetensors" not in names(folder) and "adapter_model.safetensors" in names(folder)
        else:
            assert not is_adapter(load_image_classifier(folder))
            assert not [name for name in names(folder) if name.startswith("adapter")]


def test_shards_and_pickles_of_an_earlier_model_go(tmp_path):
    folder = tmp_path / "out"
    make_model("vit", seed=1).save_pretrained(folder, max_shard_size="5KB")
    (folder / "pytorch_model.bin").write_bytes(b"old")
    (folder / "results.json").write_text("of the old model")
    (folder / "thesis.txt").write_text("years of work")
    trainer = ended(make(tmp_path, "delete", model=make_model("vit")))
    trainer.save_model(str(folder))
    model = {"config.json", "model.safetensors", "preprocessor_config.json", "training_args.json"}
    assert set(names(folder)) == {
        *model,
        "thesis.txt",
        "unlearning.json",
        "unlearning_withheld.json",
        "README.md",
    }
    kept = load_image_classifier(folder).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in trainer.model.state_dict().items())


def test_a_checkpoint_takes_the_place_of_one_that_was_there(tmp_path):
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "adapter_config.json").write_text("{}")
    make(tmp_path, "delete", save_strategy="steps", save_steps=1, max_steps=1).train()
    assert "adapter_config.json" not in names(tmp_path / "checkpoint-1")
