"""The samples to forget alone, by command: from a folder of photographs to a published model."""

from __future__ import annotations

import json
import re

import pytest
from datasets import DatasetDict

from hf_unlearn.commands.main import main
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.publishing.record import read_record
from tests.hub.clients import add_dataset, add_model
from tests.hub.fixtures import WRITE_TOKEN
from tests.tiny import LABELS, make_dataset, make_model, make_processor

CPU = ["--use_cpu"]


def photographs(folder, *labels, count=20):
    """So many JPEG files of the first label in `folder`, or of each label in a sub-folder of its name."""
    rows = make_dataset(4 * count, seed=5)
    for label in labels or ("red",):
        place = folder / label if labels else folder
        place.mkdir(parents=True)
        images = rows.filter(lambda row, label=label: LABELS[row["label"]] == label)[:]["image"]
        for number, image in enumerate(images):
            image.save(place / f"jane-doe-{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def knowing():
    """A classifier that has learned the colours."""
    import torch

    model, rows = make_model(), make_dataset(64, seed=9)
    pixels = new_image_processor(16)(rows[:]["image"], return_tensors="pt")["pixel_values"]
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    torch.manual_seed(0)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pixel_values=pixels).logits, torch.tensor(rows["label"][:])).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def model_folder(knowing, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("knowing"))
    knowing.save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


def run(*words):
    return main([*map(str, words), *CPU])


def records(folder):
    """With what is kept beside the model and not published."""
    return read_record(str(folder))


def test_twenty_photographs_a_model_by_name_one_command_and_a_verified_model(connected_hub, knowing, tmp_path, capsys):
    add_model(connected_hub, "org/model", knowing, make_processor(), home=tmp_path / "a")
    connected_hub.clear()
    photos = photographs(tmp_path / "of-jane-doe")
    out = tmp_path / "forgot"
    words = ["unlearn", "--model_name_or_path", "org/model", "--forget_dataset", photos, "--forget_kind", "class"]
    words += ["--forget_label", "red", "--output_dir", out, "--push_to_hub", "--hub_model_id", "org/forgot"]
    assert run(*words) == 0
    printed = capsys.readouterr().out
    repository = connected_hub.repository("org/forgot")
    assert "20 samples; no others were looked at" in printed and f"org/forgot at {repository.sha}" in printed
    record = json.loads(repository.read("unlearning.json"))
    assert record["request"]["kind"] == "samples" and record["request"]["classes"] == ["red"]
    assert "forget_accuracy" not in record["checks"], "by it an outsider could try whose photographs they were"
    checks = records(out)["checks"]
    assert checks["forget_accuracy"]["before"] > 90 and checks["forget_accuracy"]["after"] <= 2
    card = repository.read("README.md").decode()
    assert "--forget_dataset DATASET --forget_kind class --forget_label red" in card
    assert "base_model: org/model" in card
    for upload in connected_hub.uploads():
        for secret in (str(tmp_path), "jane-doe", WRITE_TOKEN):
            assert secret.encode() not in upload.content, upload.name

    # Judged with a test set from elsewhere, and pushed again by folder.
    data = DatasetDict({"train": make_dataset(48), "test": make_dataset(40, seed=1)})
    data.save_to_disk(str(tmp_path / "colours"))
    words = ["evaluate", "--model", out, "--forget_dataset", photos, "--forget_kind", "class", "--forget_label", "red"]
    assert run(*words, "--test_dataset", tmp_path / "colours", "--level", "fast") == 0
    assert records(out)["evaluation"]["models"]["unlearned"]["test_accuracy_remaining"] > 50
    assert main(["push", str(out), "--hub_model_id", "org/forgot"]) == 0
    assert b"test set, remaining" in connected_hub.repository("org/forgot").read("README.md")


def test_what_the_model_says_is_the_label_when_asked_for(model_folder, tmp_path, capsys):
    photos = photographs(tmp_path / "photos", count=4)
    alone = ["--forget_dataset", photos, "--forget_kind", "subset"]
    few = ["--max_steps", "2", "--output_dir"]
    assert (
        run(
            "unlearn", "--model_name_or_path", model_folder, *alone, "--forget_label", "predicted", *few, tmp_path / "a"
        )
        == 0
    )
    assert "Labels as the model predicts them: 4 'red'" in capsys.readouterr().out
    record = records(tmp_path / "a")
    assert record["request"] == {
        "kind": "samples",
        "samples": "subset",
        "text": "samples given alone (others of their classes stay)",
    }
    assert record["num_retain"] is None and record["dataset"]["name"] is None
    card = (tmp_path / "a" / "README.md").read_text()
    assert "what the original model itself says of them" in card and "--forget_label predicted" in card
    # The evaluation asks the original model, not the one that has forgotten.
    evaluate = ["evaluate", "--model", tmp_path / "a", *alone, "--forget_label", "predicted", "--level", "fast"]
    assert run(*evaluate) == 2
    assert "expected --original_model" in capsys.readouterr().err
    assert run(*evaluate, "--original_model", model_folder) == 0
    printed = capsys.readouterr().out
    assert "there is no test set" in printed and "--test_dataset" in printed
    assert records(tmp_path / "a")["evaluation"]["counts"] == {"forget": 4}


@pytest.mark.parametrize(
    "form", ["one picture", "folder of one class", "folders by class", "saved", "parquet", "several splits"]
)
def test_places(model_folder, tmp_path, form):
    place, flags, expected = tmp_path / "data", ["--forget_label", "red"], ["red"]
    if form == "folder of one class":
        photographs(place, "red", count=3)
        # Neither what is written beside them nor what one of them is called matters.
        (place / "notes.txt").write_text("three of them")
        (place / "red" / "jane-doe-0.jpg").rename(place / "red" / "crash test 1.jpg")
    elif form == "one picture":
        place = photographs(place, count=1) / "jane-doe-0.jpg"
    elif form == "folders by class":
        photographs(place, "red", "blue", count=3)
        flags, expected = [], ["blue", "red"]
    else:
        flags, rows = [], make_dataset(12).filter(lambda row: row["label"] == 2)
        expected = ["blue"]
        if form == "saved":
            rows.save_to_disk(str(place))
        elif form == "parquet":
            place = tmp_path / "data.parquet"
            rows.to_parquet(str(place))
        else:
            DatasetDict({"gone": rows, "test": make_dataset(8)}).save_to_disk(str(place))
            flags = ["--forget_split_name", "gone", "--test_split", "test"]
    words = ["unlearn", "--model_name_or_path", model_folder, "--forget_dataset", place, "--forget_kind", "class"]
    assert run(*words, *flags, "--max_steps", "1", "--output_dir", tmp_path / "out") == 0
    record = records(tmp_path / "out")
    count = {"one picture": 1, "folders by class": 6}.get(form, 3)
    assert record["request"]["classes"] == expected and record["num_forget"] == count
    assert ("test_accuracy_remaining" in record["checks"]) == (form == "several splits")


@pytest.mark.parametrize("label", ["red", "predicted"])
def test_broken_photographs_are_named_or_left_out_with_their_number(model_folder, tmp_path, capsys, label):
    photos = photographs(tmp_path / "photos", count=4)
    (photos / "jane-doe-1.jpg").write_bytes(b"no picture any more")
    (photos / "jane-doe-9.heic").write_bytes(b"nor is this one for Pillow")
    words = ["unlearn", "--model_name_or_path", model_folder, "--forget_dataset", photos, "--forget_kind", "subset"]
    words += ["--forget_label", label, "--max_steps", "1", "--output_dir", tmp_path / "out"]
    assert run(*words) == 2
    assert "'jane-doe-9.heic'" in capsys.readouterr().err
    (photos / "jane-doe-9.heic").rename(tmp_path / "jane-doe-9.heic")
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "('jane-doe-1.jpg') cannot be read" in line and not (tmp_path / "out").exists()
    (tmp_path / "jane-doe-9.heic").rename(photos / "jane-doe-9.heic")
    assert run(*words, "--skip_unreadable") == 0
    captured = capsys.readouterr()
    assert "1 of the pictures in" in captured.err and "1 of the 4 images of the forget set" in captured.err
    assert "3 samples" in captured.out and records(tmp_path / "out")["num_forget"] == 3
    assert "jane-doe" not in (tmp_path / "out" / "unlearning.json").read_text()


def test_a_dataset_of_the_hub_is_named_with_its_commit(connected_hub, model_folder, tmp_path):
    samples = make_dataset(8).filter(lambda row: row["label"] == 1)
    commit = add_dataset(connected_hub, "org/gone", samples, home=tmp_path / "home", split="gone")
    words = ["unlearn", "--model_name_or_path", model_folder, "--forget_dataset", "org/gone", "--forget_kind", "subset"]
    assert run(*words, "--max_steps", "1", "--output_dir", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    card = (tmp_path / "out" / "README.md").read_text()
    assert (record["dataset"]["name"], record["dataset"]["revision"]) == ("org/gone", commit)
    assert f"--forget_dataset org/gone --forget_dataset_revision {commit} --forget_kind subset" in card
    assert "--forget_label" not in card and not {"sha256", "id", "dataset_fingerprint"} & record["dataset"].keys()


def test_the_samples_of_a_large_dataset_are_fetched_alone(connected_hub, model_folder, tmp_path, capsys):
    data = DatasetDict({"train": make_dataset(24), "test": make_dataset(8, seed=1)})
    commit = add_dataset(connected_hub, "org/colours", data, home=tmp_path / "home")
    words = ["--dataset_name", "org/colours", "--forget_classes", "red", "--streaming"]
    unlearn = ["unlearn", "--model_name_or_path", model_folder, *words, "--max_steps", "1"]
    assert run(*unlearn, "--output_dir", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "fetching 6 images of org/colours" in printed and "6 samples; no others were looked at" in printed
    record = records(tmp_path / "out")
    assert (record["request"]["kind"], record["num_forget"], record["num_retain"]) == ("class", 6, 18)
    assert record["dataset"]["revision"] == commit and set(record["checks"]) == {"samples", "forget_accuracy"}
    # It is the request that an evaluation on all of the dataset is of, with or without its other samples.
    evaluate = ["evaluate", "--model", tmp_path / "out", "--level", "fast", *words]
    for flags, counts in (
        (["--test_split", "test"], {"forget": 6, "test": 8}),
        ([], {"forget": 6}),
        (None, {"forget": 6, "retain": 18, "test": 8}),
    ):
        assert run(*(evaluate[:-1] if flags is None else [*evaluate, *flags])) == 0
        assert records(tmp_path / "out")["evaluation"]["counts"] == counts
    capsys.readouterr()
    assert run(*unlearn, "--method", "scrub", "--output_dir", tmp_path / "other") == 2
    assert "--streaming brings only those to forget" in capsys.readouterr().err
    photos = photographs(tmp_path / "photos", count=2)
    alone = ["unlearn", "--model_name_or_path", model_folder, "--forget_dataset", photos, "--streaming"]
    assert run(*alone, "--output_dir", tmp_path / "other") == 2
    assert "--streaming goes with a training set" in capsys.readouterr().err


def test_a_test_set_from_elsewhere_for_a_request_on_a_training_set(model_folder, saved_dataset, tmp_path):
    test = make_dataset(8, seed=3).rename_columns({"image": "picture", "label": "colour"})
    DatasetDict({"validation": test}).save_to_disk(str(tmp_path / "test"))
    words = [
        "unlearn",
        "--model_name_or_path",
        model_folder,
        "--dataset_name",
        saved_dataset,
        "--forget_classes",
        "red",
    ]
    words += ["--test_dataset", tmp_path / "test", "--max_steps", "1", "--output_dir", tmp_path / "out"]
    assert run(*words) == 0
    evaluate = ["evaluate", "--model", tmp_path / "out", "--dataset_name", saved_dataset, "--forget_classes", "red"]
    assert run(*evaluate, "--test_dataset", tmp_path / "test", "--level", "fast") == 0
    assert records(tmp_path / "out")["evaluation"]["counts"]["test"] == 8


def test_a_run_is_resumed_by_the_same_samples_only(model_folder, tmp_path, capsys):
    photos, others = photographs(tmp_path / "photos", count=4), photographs(tmp_path / "others", count=5)
    start = ["unlearn", "--model_name_or_path", model_folder, "--forget_kind", "class", "--forget_label", "red"]
    start += ["--max_steps", "4", "--save_strategy", "steps", "--save_steps", "2", "--output_dir", tmp_path / "out"]
    assert run(*start, "--forget_dataset", photos) == 0
    whole = (tmp_path / "out" / "model.safetensors").read_bytes()
    resume = ["--resume_from_checkpoint", tmp_path / "out" / "checkpoint-2"]
    assert run(*start, "--forget_dataset", others, *resume) == 2
    assert "which has changed since then" in capsys.readouterr().err
    assert run(*start, "--forget_dataset", photos, *resume) == 0
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == whole


def test_bad_input(model_folder, saved_dataset, tmp_path, capsys):
    photos, two = photographs(tmp_path / "photos", count=2), photographs(tmp_path / "two", "red", "blue", count=2)
    photographs(tmp_path / "all", *LABELS, count=1)
    (tmp_path / "none").mkdir()
    (photographs(tmp_path / "telephone", count=2) / "b.heic").write_bytes(b"not for Pillow")
    (tmp_path / "telephone only").mkdir()
    (tmp_path / "telephone only" / "b.heic").write_bytes(b"not for Pillow")
    alone = ["--forget_dataset", photos, "--forget_kind", "class"]
    whole = ["--dataset_name", saved_dataset, "--forget_classes", "red"]
    red = ["--forget_label", "red"]
    before = sorted(tmp_path.rglob("*"))
    for flags, said in (
        ([*alone], "have no labels; expected forget_label"),
        (["--forget_dataset", photos, *red], "forget_kind was not said"),
        (["--forget_dataset", photos, "--forget_kind", "person", *red], "'person'"),
        ([*alone, "--forget_label", "gnu"], "the model lacks the labels 'gnu'"),
        ([*alone, "--forget_label", "7"], "its ids are 0 to 3"),
        ([*alone, *red, *whole[2:]], "--forget_classes goes with a training set"),
        ([*alone, *red, *whole[:2]], "--dataset_name goes with a training set"),
        ([*alone, *red, "--train_split", "train"], "--train_split goes with a training set"),
        ([*alone, *red, "--forget_seed", "3"], "--forget_seed goes with a training set"),
        ([*alone, *red, "--method", "scrub"], "needs the samples that stay"),
        ([*alone, *red, "--test_split", "test"], "test_split 'test' does not exist"),
        ([*alone, *red, "--test_dataset", photos], "no column of class labels"),
        ([*alone, *red, "--forget_split_name", "gone"], "forget_split 'gone' does not exist"),
        (["--forget_dataset", two, "--forget_kind", "class", *red], "labels of their own, of 2 classes"),
        (["--forget_dataset", tmp_path / "all", "--forget_kind", "class"], "of all 4 classes of the model"),
        (["--forget_dataset", tmp_path / "none", "--forget_kind", "class", *red], "none"),
        (
            ["--forget_dataset", tmp_path / "telephone", *alone[2:], *red],
            "1 of the pictures in .* 'b.heic'; expected JPEG",
        ),
        (["--forget_dataset", tmp_path / "telephone only", *alone[2:], *red], "would not be forgotten"),
        (["--forget_dataset", tmp_path / "nowhere", "--forget_kind", "class", *red], "does not exist"),
        ([*whole, *red], "--forget_label goes with --forget_dataset"),
        ([*whole, "--forget_kind", "class"], "--forget_kind goes with --forget_dataset"),
        ([*whole, "--test_dataset_revision", "main"], "--test_dataset_revision goes with --test_dataset"),
    ):
        for command in ("unlearn", "evaluate"):
            if command == "evaluate" and "scrub" in flags:
                continue
            capsys.readouterr()
            out = ["--output_dir", tmp_path / "out"]
            assert run(command, "--model_name_or_path", model_folder, *flags, *out) == 2, flags
            (line,) = capsys.readouterr().err.strip().splitlines()
            # The model that is to forget is asked; which it was an evaluation cannot know.
            assert re.search(said, line) or (command == "evaluate" and "expected --original_model" in line), (
                flags,
                line,
            )
            assert sorted(tmp_path.rglob("*")) == before, flags
