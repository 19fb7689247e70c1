"""Bad input: one clear line, exit status 2, nothing written."""

from __future__ import annotations

import json

import pytest

from hf_unlearn.commands.main import main
from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.trainers.base.checkpoints import mark_whole
from tests.tiny import LABELS, make_dataset, make_model, make_processor

NOT_GIVEN = object()


@pytest.fixture
def refuse(capsys, tmp_path, saved_dataset, saved_model):
    """Run a command that must be refused; returns its one line."""

    def run(command: str = "unlearn", out: str = "out", **flags) -> str:
        given = {"model_name_or_path": saved_model(), "dataset_name": saved_dataset, "output_dir": tmp_path / out}
        given.update({"forget_classes": "red"} if not any(name.startswith("forget") for name in flags) else {})
        given.update(flags)
        words = [command]
        for name, value in given.items():
            if value is not NOT_GIVEN:
                words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        status = main([*words, "--use_cpu"])
        captured = capsys.readouterr()
        assert status == 2, captured.err
        (line,) = captured.err.strip().splitlines()
        assert line.startswith(f"hf-unlearn {command}: error: ") and "Traceback" not in captured.err
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        return line

    return run


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"model_name_or_path": "nobody/nothing"}, "'nobody/nothing' was not found"),
        ({"model_name_or_path": "."}, "without a config.json"),
        ({"dataset_name": "nobody/nothing"}, "'nobody/nothing'"),
        ({"forget_classes": "rad"}, "did you mean 'red'"),
        ({"forget_classes": "9"}, "'9'"),
        ({"forget_classes": LABELS}, "everything"),
        ({"forget_subclasses": "x", "subclass_column": "fine"}, "'fine'"),
        ({"forget_where": "person=p9"}, "'p9'"),
        ({"forget_where": "photographer=p1"}, "'photographer'"),
        ({"forget_where": "person"}, "person"),
        ({"forget_fraction": 0}, "fraction"),
        ({"forget_fraction": 1}, "fraction"),
        ({"forget_fraction": -0.5}, "fraction"),
        ({"forget_fraction": "half"}, "invalid float value: 'half'"),
        ({"forget_count": 0}, "count"),
        ({"forget_count": 48}, "everything"),
        ({"forget_count": 47}, "every class of the model would be gone: this request leaves next to no sample of any"),
        ({"forget_count": 47, "method": "delete"}, "every class of the model would be gone"),
        ({"forget_indices": ["1", "48"]}, "48"),
        ({"forget_indices": ["1", "-2"]}, "-2"),
        ({"forget_indices": ["1", "1"]}, "1"),
        ({"forget_indices": ["1", "2.5"]}, "'2.5'"),
        ({"forget_indices": "nowhere.txt"}, "nowhere.txt"),
        ({"forget_classes": "red", "forget_fraction": 0.5}, "only one kind"),
        ({"forget_classes": NOT_GIVEN}, "nothing to forget was named; expected one of --forget_classes"),
        ({"forget_split": "holdout"}, "'holdout'"),
        ({"train_split": "trian"}, "did you mean 'train'"),
        ({"test_split": "tset"}, "did you mean 'test'"),
        ({"reference_split": "validaton"}, "'validaton'"),
        ({"stop_rule": "unseen"}, "no labelled unseen samples"),
        ({"stop_rule": "soon"}, "soon"),
        ({"num_rounds": -1}, "num_rounds is -1"),
        ({"label_shift": -1}, "label_shift is -1"),
        ({"irrelevant_cap": 0}, "irrelevant_cap is 0"),
        ({"head_scale": 0}, "head_scale is 0"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size is 0"),
        ({"target_forget_accuracy": 400}, "0 to 100 percent"),
        ({"guard_weight": -1}, "negative weight"),
        ({"num_irrelevant_classes": 4}, "at most 3"),
        ({"push_to_hub": "true"}, "HF_HUB_OFFLINE"),
        ({"reference_split": "train"}, "is the train, test or forget split"),
        ({"dtype": "float16"}, "'float16'"),
        ({"image_column_name": "img"}, "'img'"),
        ({"label_column_name": "fine_label"}, "'fine_label'"),
        ({"output_dir": NOT_GIVEN}, "--output_dir is missing"),
        ({"dtype": "float8"}, "'float8'"),
        ({"method": "amnesia"}, "'amnesia'"),
        ({"objective": "forget"}, "forget"),
        ({"forgotten_classes": "red"}, "is not a flag of unlearn; did you mean '--forget_classes'"),
        ({"max_steps": "many"}, "invalid int value: 'many'"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"config": "nowhere.yaml"}, "'nowhere.yaml' cannot be read"),
        ({"resume_from_checkpoint": "nowhere"}, "'nowhere'"),
    ],
)
def test_unlearn_refuses(refuse, flags, named):
    assert named in refuse(**flags)


@pytest.mark.parametrize(
    ("text", "named"),
    [("max_stepz: 3", "did you mean 'max_steps'"), ("- a\n- b", "holds a list"), ("a: [", "is not YAML")],
)
def test_bad_settings_files(refuse, tmp_path, text, named):
    (tmp_path / "settings.yaml").write_text(text)
    assert named in refuse(config=tmp_path / "settings.yaml")


def test_a_required_flag_is_missing(capsys, tmp_path, refuse):
    assert main(["unlearn", "--forget_classes", "red", "--output_dir", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--model_name_or_path" in line
    line = refuse(dataset_name=NOT_GIVEN)
    assert "--dataset_name" in line and "--forget_dataset" in line


def test_a_full_folder_stays_as_it_is(refuse, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    assert "is not empty" in refuse(out="full")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "years of work"


def test_a_folder_of_a_killed_run_says_how_to_go_on(refuse, tmp_path):
    checkpoint = tmp_path / "full" / "checkpoint-3"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    # What was not saved whole is nothing to go on from.
    assert "'full' is not empty; expected a new folder" in refuse(out="full").replace(f"{tmp_path}/", "")
    mark_whole(str(checkpoint))
    assert "--resume_from_checkpoint true to go on from the last" in refuse(out="full")


def test_an_output_folder_that_is_a_file(refuse, tmp_path):
    (tmp_path / "file").write_text("")
    assert "in, a file" in refuse(out="file")
    assert "in, a file" in refuse(out="file/below")
    assert "in, a file" in refuse("evaluate", out="file")


def test_another_runs_checkpoint_is_no_leave_to_write_here(refuse, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    checkpoint = tmp_path / "other" / "checkpoint-1"
    checkpoint.mkdir(parents=True)
    for name in ("trainer_state.json", "optimizer.pt"):
        (checkpoint / name).write_text("{}")
    assert "was not saved whole" in refuse(out="full", resume_from_checkpoint=checkpoint)
    mark_whole(str(checkpoint))
    assert "is not empty" in refuse(out="full", resume_from_checkpoint=checkpoint)
    assert "is not empty" in refuse(out="full", resume_from_checkpoint="false")


def test_the_model_itself_is_no_output_folder(refuse, tmp_path):
    model = save_model(make_model(), tmp_path / "model")
    assert "is the model; expected" in refuse(model_name_or_path=model, out="model", overwrite_output_dir="true")


def test_a_model_that_does_not_take_its_processors_images(refuse, tmp_path):
    make_model("vit").save_pretrained(tmp_path / "model")
    new_image_processor(24).save_pretrained(tmp_path / "model")
    assert "does not take images of (3, 24, 24)" in refuse(model_name_or_path=tmp_path / "model")


def test_a_model_of_no_numbers_is_not_evaluated(refuse, tmp_path):
    model = make_model()
    model.classifier[1].bias.data[0] = float("nan")
    assert "not finite" in refuse("evaluate", model_name_or_path=save_model(model, tmp_path / "model"))


def test_a_corrupt_test_image_is_found_before_training(refuse, tmp_path):
    from datasets import DatasetDict, Image

    rows = make_dataset(8).cast_column("image", Image(decode=False))
    broken = [row["image"] if index != 3 else {"bytes": b"no picture", "path": None} for index, row in enumerate(rows)]
    broken = rows.remove_columns("image").add_column("image", broken).cast_column("image", Image())
    DatasetDict(train=make_dataset(8), test=broken).save_to_disk(str(tmp_path / "data"))
    flags = {"model_name_or_path": NOT_GIVEN, "model_type": "resnet", "image_size": 16}
    assert "index 3 " in refuse("train", dataset_name=tmp_path / "data", **flags)


def save(dataset, tmp_path):
    from datasets import DatasetDict

    DatasetDict({"train": dataset}).save_to_disk(str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_dataset_without_images(refuse, tmp_path):
    assert "image" in refuse(dataset_name=save(make_dataset(8).remove_columns("image"), tmp_path))


def test_a_dataset_without_labels(refuse, tmp_path):
    assert "label" in refuse(dataset_name=save(make_dataset(8).remove_columns("label"), tmp_path))


def test_a_corrupt_image_is_named_by_its_index(refuse, tmp_path):
    from datasets import Image

    rows = make_dataset(8).cast_column("image", Image(decode=False))
    broken = [row["image"] if index != 4 else {"bytes": b"no picture", "path": None} for index, row in enumerate(rows)]
    broken = rows.remove_columns("image").add_column("image", broken).cast_column("image", Image())
    # Row 4 is the second red one: the index is that of the train split, not of the forget set.
    assert "index 4 " in refuse(dataset_name=save(broken, tmp_path))


def save_model(model, folder):
    model.save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


def test_labels_that_are_not_the_models(refuse, tmp_path):
    model = save_model(make_model(label_names=["cat", "dog", "cow", "pig"]), tmp_path / "model")
    assert "red" in refuse(model_name_or_path=model)


def test_a_model_with_one_label(refuse, tmp_path):
    model = save_model(make_model(), tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config.update({"id2label": {"0": "red"}, "label2id": {"red": 0}})
    (model / "config.json").write_text(json.dumps(config))
    assert "1 label" in refuse(model_name_or_path=model)


def test_a_model_that_is_no_image_classifier(refuse, tmp_path):
    from transformers import BertConfig, BertModel

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=10, **size)).save_pretrained(tmp_path / "bert")
    assert "not an image classifier" in refuse(model_name_or_path=tmp_path / "bert")


def test_a_backbone_without_a_trained_head(refuse, tmp_path):
    make_model().resnet.save_pretrained(tmp_path / "backbone")
    make_processor().save_pretrained(tmp_path / "backbone")
    # Its configuration still names the four labels; only the weights of the head are missing.
    assert "not a trained image classifier" in refuse(model_name_or_path=tmp_path / "backbone")


def test_a_model_without_image_processor(refuse, tmp_path):
    make_model().save_pretrained(tmp_path / "model")
    assert "image processor" in refuse(model_name_or_path=tmp_path / "model")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({}, "either --model_name_or_path"),
        ({"model_type": "resnett"}, "did you mean 'resnet"),
        ({"model_type": "bert"}, "not an image classifier"),
        ({"model_type": "resnet", "config_overrides": "{"}, "is not JSON"),
        ({"model_type": "resnet", "config_overrides": "[1]"}, "is not an object"),
        ({"model_type": "resnet", "config_overrides": '{"depth": [1]}'}, "'depth'"),
        ({"model_type": "vit", "image_size": 0}, "image_size is 0"),
    ],
)
def test_train_refuses(refuse, flags, named):
    assert named in refuse("train", **{"model_name_or_path": NOT_GIVEN, **flags})


@pytest.mark.parametrize("text", ["{}", '{"fingerprint": "another"}', "[]", "no json"])
def test_evaluate_does_not_replace_results_of_another_request(refuse, tmp_path, text):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_text(text)
    assert "another request" in refuse("evaluate", out="results")
    assert (tmp_path / "results" / "results.json").read_text() == text


def test_evaluate_refuses_a_reference_with_other_labels(refuse, tmp_path):
    reference = save_model(make_model(label_names=["cat", "dog", "cow", "pig"]), tmp_path / "model")
    assert "red" in refuse("evaluate", reference_model=reference)


def test_an_unknown_command(capsys):
    assert main(["unlaern"]) == 2
    assert "did you mean 'unlearn'" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["", "\n", "\nthat is not so\nat all"])
def test_settings_that_refuse_themselves_are_told_in_one_line(said, monkeypatch):
    from hf_unlearn.commands import parsing

    def refuse_all(*args, **kwargs):
        raise ValueError(said)

    monkeypatch.setattr("transformers.HfArgumentParser.parse_dict", refuse_all)
    with pytest.raises(UnlearningError) as caught:
        parsing.parse("unlearn", "", (), None, (), [])
    assert str(caught.value) == ("that is not so at all" if said.strip() else "ValueError")


def test_evaluate_refuses_a_reference_given_twice(refuse, tmp_path, saved_model):
    (tmp_path / "link").symlink_to(saved_model())
    for again in (saved_model() + "/", tmp_path / "link"):
        assert "once more" in refuse("evaluate", reference_model=[saved_model(), again])


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
def test_evaluate_refuses_a_seed_that_none_takes(refuse, seed):
    assert f"seed is {seed}" in refuse("evaluate", seed=seed)
