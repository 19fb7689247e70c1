"""`trainer.save_model()` leaves what `hf-unlearn push` takes."""

from __future__ import annotations

import json

import pytest
from transformers import TrainerCallback

from hf_unlearn import DivergenceError, ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningError
from hf_unlearn.commands.main import main
from hf_unlearn.files import WITHHELD_NAME
from hf_unlearn.models.adapters import is_adapter
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.publishing.record import read_record
from hf_unlearn.trainers.safety.wrong_way import WrongWay
from tests.publishing.conftest import unlearn
from tests.tiny import make_adapter, make_dataset, make_model, make_processor

WHOLE = {"model.safetensors", "config.json"}
ADAPTER = {"adapter_model.safetensors", "adapter_config.json", "config.json"}
BESIDE = {"preprocessor_config.json", "training_args.json", "unlearning.json", "README.md"}


def make_trainer(tmp_path, model=None, **settings):
    """A trainer whose untrained model may end up anywhere."""
    common = {"use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False, "max_steps": 2, "label_shift": 1.0}
    trainer = MUMisTrainer(
        make_model("vit") if model is None else model,
        MUMisConfig(str(tmp_path / "trainer_output"), **common, **settings),
        train_dataset=make_dataset(8),
        processing_class=make_processor(),
        forget_kind="subset",
    )
    trainer.remove_callback(WrongWay)
    trainer.least_agreement = 0.0
    return trainer


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["whole", "adapter"])
def test_what_the_user_saves_is_taken_by_push(tmp_path, connected_hub, kind):
    trainer = make_trainer(tmp_path, make_adapter() if kind == "adapter" else None)
    if kind == "adapter":
        # A base that lies here, for the check of what came back.
        make_model("vit").save_pretrained(tmp_path / "base")
        trainer.model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    trainer.train()
    trainer.save_model(str(tmp_path / "forgot"))
    expected = {*BESIDE, *(ADAPTER if kind == "adapter" else WHOLE)}
    assert expected <= names(tmp_path / "forgot") <= {*expected, "adapter_base.json", WITHHELD_NAME}
    assert main(["push", str(tmp_path / "forgot"), "--hub_model_id", "org/forgot"]) == 0
    there = connected_hub.repository("org/forgot")
    assert json.loads(there.read("unlearning.json"))["in_progress"] is False
    assert WITHHELD_NAME not in there.paths()
    assert is_adapter(load_image_classifier(tmp_path / "forgot")) == (kind == "adapter")
    assert "org/forgot" in there.read("README.md").decode()


def test_the_record_is_that_of_the_splits(tmp_path):
    trainer = unlearn(tmp_path / "out", ForgetRequest(classes=("red",)))
    trainer.save_model(str(tmp_path / "forgot"))
    record = read_record(str(tmp_path / "forgot"))
    assert record["request"]["classes"] == ["red"] and record["settings"]["label_shift"] == "inf"
    assert {"forget_accuracy", "test_accuracy_remaining"} <= record["checks"].keys()
    assert "forgot" in (tmp_path / "forgot" / "README.md").read_text()


def test_without_a_folder_it_is_the_output_folder(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.train()
    trainer.save_model()
    assert {*BESIDE, *WHOLE} <= names(tmp_path / "trainer_output")


def test_a_checkpoint_is_no_model_to_be_published(tmp_path):
    trainer = make_trainer(tmp_path, save_strategy="steps", save_steps=1)
    trainer.train()
    found = names(tmp_path / "trainer_output" / "checkpoint-1")
    assert not {"unlearning.json", "README.md"} & found and "model.safetensors" in found
    assert not {"unlearning.json", "README.md"} & names(tmp_path / "trainer_output")


def test_before_a_run_there_is_nothing_to_save(tmp_path):
    trainer = make_trainer(tmp_path)
    with pytest.raises(UnlearningError, match=r"no unlearned model to save: train\(\) was not called"):
        trainer.save_model(str(tmp_path / "forgot"))
    assert not (tmp_path / "forgot").exists()


def test_nor_after_one_that_failed(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.find_damage = lambda: "it is tested"
    with pytest.raises(DivergenceError):
        trainer.train()
    with pytest.raises(UnlearningError, match="the run failed and left the original"):
        trainer.save_model(str(tmp_path / "forgot"))
    trainer.find_damage = lambda: None
    trainer.train()
    trainer.save_model(str(tmp_path / "forgot"))
    assert read_record(str(tmp_path / "forgot"))["in_progress"] is False


class Interrupts(TrainerCallback):
    def on_step_end(self, *args, **kwargs):
        raise KeyboardInterrupt


def test_a_run_that_was_cut_short_is_saved_as_one(tmp_path, connected_hub):
    trainer = make_trainer(tmp_path)
    trainer.add_callback(Interrupts)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.save_model(str(tmp_path / "forgot"))
    record = read_record(str(tmp_path / "forgot"))
    assert record["in_progress"] is True and record["stop_reason"] == "it was not finished"
    with pytest.raises(UnlearningError, match="the run was not finished"):
        push_folder(str(tmp_path / "forgot"), "org/forgot")


def test_a_push_before_a_run_is_refused(tmp_path, connected_hub):
    trainer = make_trainer(tmp_path, push_to_hub=True, hub_model_id="org/forgot", push_anyway=True)
    with pytest.raises(UnlearningError, match="no unlearned model to save"):
        trainer.push_to_hub()
    assert connected_hub.calls("create", "commit") == []


def test_saving_pushes_where_that_was_asked_for(tmp_path, connected_hub):
    trainer = make_trainer(tmp_path, push_to_hub=True, hub_model_id="org/forgot")
    trainer.train()
    trainer.save_model(str(tmp_path / "forgot"))
    assert json.loads(connected_hub.repository("org/forgot").read("unlearning.json"))["settings"]["max_steps"] == 2
