"""A model that comes with code of its own, through the commands: unlearned, resumed, evaluated, pushed."""

from __future__ import annotations

import json

import pytest

from hf_unlearn.commands.main import main
from hf_unlearn.models.own_code import code_files
from hf_unlearn.publishing.push import published_files
from tests.own_code import CODE, save_own_model

CPU = ["--use_cpu"]
TRUST = ["--trust_remote_code"]
RUN = ["--forget_classes", "red", "--max_steps", "4", "--num_rounds", "1", "--stop_rule", "steps"]


@pytest.fixture
def own_model(tmp_path):
    return save_own_model(tmp_path / "own")


def unlearn(model, data, out, *flags):
    words = ["unlearn", "--model_name_or_path", model, "--dataset_name", data, "--output_dir", str(out), *RUN, *CPU]
    return main([*words, *flags])


def test_without_leave_it_is_refused_in_one_line(own_model, saved_dataset, tmp_path, capsys):
    assert unlearn(own_model, saved_dataset, tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "comes with code of its own" in line and "--trust_remote_code" in line and not (tmp_path / "out").exists()


def test_unlearned_resumed_and_evaluated(own_model, saved_dataset, tmp_path, capsys):
    out = tmp_path / "out"
    steps = ["--save_strategy", "steps", "--save_steps", "2", *TRUST]
    assert unlearn(own_model, saved_dataset, out, *steps) == 0
    assert "trust_remote_code=True)" in capsys.readouterr().out
    whole = (out / "model.safetensors").read_bytes()
    assert unlearn(own_model, saved_dataset, out, *steps, "--resume_from_checkpoint", str(out / "checkpoint-2")) == 0
    assert (out / "model.safetensors").read_bytes() == whole
    words = ["evaluate", "--model", str(out), "--original_model", own_model, "--dataset_name", saved_dataset, *CPU]
    assert main([*words, "--forget_classes", "red", *TRUST]) == 0
    record = json.loads((out / "unlearning.json").read_text())
    assert record["trust_remote_code"] is True and record["evaluation"]["level"] == "standard"
    card = (out / "README.md").read_text()
    assert "trust_remote_code=True)" in card and "--trust_remote_code" in card


def test_its_code_is_published_with_it_and_no_other(connected_hub, own_model, saved_dataset, tmp_path, capsys):
    out = tmp_path / "forgot"
    assert unlearn(own_model, saved_dataset, out, *TRUST) == 0
    (out / "notes.py").write_text("# not the model's\n")
    assert set(CODE) == set(code_files(out)) == {name for name in published_files(str(out)) if name.endswith(".py")}
    push = ["push", str(out), "--hub_model_id", "org/forgot", "--push_anyway"]
    assert main(push) == 2 and "comes with code of its own" in capsys.readouterr().err
    assert main([*push, *TRUST]) == 0
    repository = connected_hub.repository("org/forgot")
    assert {name for name in repository.paths() if name.endswith(".py")} == set(CODE)
    # A script that somebody else put there stays.
    from huggingface_hub import HfApi

    HfApi().upload_file(path_or_fileobj=b"print(1)\n", path_in_repo="demo.py", repo_id="org/forgot")
    assert main([*push, *TRUST]) == 0
    assert "demo.py" in connected_hub.repository("org/forgot").paths()


def test_from_python_what_was_loaded_is_trusted(own_model, saved_dataset, tmp_path):
    from datasets import DatasetDict

    from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, compare, load_image_classifier, make_splits

    splits = make_splits(DatasetDict.load_from_disk(saved_dataset), ForgetRequest(classes="red"))
    model = load_image_classifier(own_model, trust_remote_code=True)
    args = MUMisConfig(str(tmp_path / "out"), use_cpu=True, disable_tqdm=True, max_steps=1, dataloader_pin_memory=False)
    trainer = MUMisTrainer(model, args, splits=splits)
    trainer.train()
    trainer.save_model()
    assert type(trainer.processing_class).__name__ == "OwnImageProcessor"
    assert compare(trainer.model, splits=splits, level="fast")["counts"]["forget"] == 12


def test_code_of_another_repository_is_not_in_the_folder(tmp_path):
    config = {"auto_map": {"AutoConfig": "org/other--configuration_own.OwnConfig", "AutoModel": ["odd", None]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "configuration_own.py").write_text("")
    assert code_files(tmp_path) == []
    (tmp_path / "config.json").write_text("[]")
    assert code_files(tmp_path) == code_files(tmp_path / "nowhere") == []


def test_a_trainer_takes_such_a_model_by_name(own_model, saved_dataset, tmp_path):
    from datasets import DatasetDict

    from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningError, make_splits, predict_labels

    data = DatasetDict.load_from_disk(saved_dataset)
    splits = make_splits(data, ForgetRequest(classes="red"))
    args = MUMisConfig(str(tmp_path / "out"), use_cpu=True)
    with pytest.raises(UnlearningError, match="comes with code of its own"):
        MUMisTrainer(own_model, args, splits)
    trainer = MUMisTrainer(own_model, args, splits, trust_remote_code=True)
    assert type(trainer.processing_class).__name__ == "OwnImageProcessor"
    assert len(predict_labels(data["test"], own_model, trust_remote_code=True)) == 24


def test_training_goes_on_from_such_a_model(own_model, saved_dataset, tmp_path, capsys):
    words = ["train", "--model_name_or_path", own_model, "--dataset_name", saved_dataset, *CPU, "--max_steps", "2"]
    words += ["--save_strategy", "steps", "--save_steps", "1", "--output_dir", str(tmp_path / "out")]
    assert main(words) == 2 and "comes with code of its own" in capsys.readouterr().err
    assert main([*words, *TRUST]) == 0
    assert main([*words, *TRUST, "--resume_from_checkpoint", str(tmp_path / "out" / "checkpoint-1")]) == 0
    assert set(code_files(tmp_path / "out")) == set(CODE)


def test_an_image_processor_alone_may_come_with_code(own_model):
    from hf_unlearn import UnlearningError, load_image_processor

    with pytest.raises(UnlearningError, match="the image processor of model .* comes with code of its own"):
        load_image_processor(own_model)
