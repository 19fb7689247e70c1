"""Images that cannot be read: found before the work, by split and index, and left out where asked."""

from __future__ import annotations

import pytest
from datasets import DatasetDict, Image

from hf_unlearn.commands.main import main
from hf_unlearn.errors import warn_once
from tests.tiny import make_dataset


def with_broken(dataset, *rows, image=b"no picture"):
    """The dataset with no picture at these rows."""
    encoded = dataset.cast_column("image", Image(decode=False))
    broken = {"bytes": image, "path": None} if image is not None else None
    images = [broken if row in rows else each["image"] for row, each in enumerate(encoded)]
    return dataset.remove_columns("image").add_column("image", images, feature=Image())


@pytest.fixture(autouse=True)
def said_anew():
    warn_once.cache_clear()


@pytest.fixture
def run(tmp_path, saved_model, capsys):
    """Run a command on the colours with broken images; returns its status and what it said."""

    def command(name, broken, *flags, image=b"no picture"):
        parts = {"train": make_dataset(24), "test": make_dataset(12, seed=1)}
        data = {split: with_broken(part, *broken.get(split, ()), image=image) for split, part in parts.items()}
        DatasetDict(data).save_to_disk(str(tmp_path / "data"))
        words = ["--model_name_or_path", saved_model(), "--dataset_name", str(tmp_path / "data"), "--use_cpu"]
        words += ["--forget_classes", "red", "--output_dir", str(tmp_path / "out")]
        capsys.readouterr()
        status = main([name, *words, *flags])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


STEPS = ("--max_steps", "1", "--stop_rule", "steps")


@pytest.mark.parametrize("image", [b"no picture", None])
@pytest.mark.parametrize(
    ("command", "split", "row", "flags"),
    [
        ("unlearn", "train", 4, STEPS),
        ("unlearn", "test", 3, (*STEPS, "--save_strategy", "steps", "--save_steps", "1")),
        ("unlearn", "train", 1, (*STEPS, "--method", "fine_tune")),
        ("evaluate", "train", 1, ("--level", "fast")),
        ("evaluate", "test", 11, ("--level", "fast")),
        ("train", "test", 5, ("--max_steps", "1")),
    ],
)
def test_a_broken_image_is_found_before_the_work(run, tmp_path, command, split, row, flags, image):
    cache = ("--cache_dir", str(tmp_path / "cache")) if command == "evaluate" else ()
    status, _, said = run(command, {split: [row]}, *flags, *cache, image=image)
    (line,) = said.strip().splitlines()
    assert status == 2 and f"the image at index {row} of the split {split!r} " in line and "0x" not in line
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob("cache/*"))


def test_what_a_run_does_not_need_may_be_broken(run, tmp_path):
    # A class's test samples are not looked at by a run that forgets it, nor retained samples by a method of none.
    status, *_ = run("unlearn", {"train": [1, 2], "test": [4]}, *STEPS)
    assert status == 0 and (tmp_path / "out" / "unlearning.json").is_file()


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("unlearn", STEPS),
        ("unlearn", (*STEPS, "--method", "fine_tune")),
        ("evaluate", ("--level", "fast")),
        ("train", ("--max_steps", "1")),
    ],
)
def test_with_skip_unreadable_a_run_goes_on_and_says_of_how_many(run, tmp_path, caplog, command, flags):
    cache = ("--cache_dir", str(tmp_path / "cache")) if command == "evaluate" else ()
    status, said, _ = run(command, {"train": [0, 1, 4], "test": [1]}, *flags, *cache, "--skip_unreadable")
    assert status == 0
    told = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert told[0].startswith(
        "2 of the 6 images of the forget set cannot be read and are left out; the image at index 0"
    )
    assert told[1].startswith("1 of the 12 images of the test set")
    if command == "unlearn":
        assert "4 samples" in said
    if "fine_tune" in flags or command != "unlearn":
        assert told[2].startswith("1 of the 18 images of the retain set")


def test_training_on_everything_but_what_is_unreadable(tmp_path, saved_model, caplog):
    data = DatasetDict(train=with_broken(make_dataset(24), 3), test=with_broken(make_dataset(12, seed=1), 2))
    data.save_to_disk(str(tmp_path / "data"))
    words = ["--model_name_or_path", saved_model(), "--dataset_name", str(tmp_path / "data"), "--use_cpu"]
    words += ["--output_dir", str(tmp_path / "out"), "--max_steps", "1"]
    assert main(["train", *words]) == 2 and not (tmp_path / "out").exists()
    assert main(["train", *words, "--skip_unreadable"]) == 0
    assert "1 of the 24 images of the train set" in caplog.text and "1 of the 12 images of the test set" in caplog.text


def test_samples_alone_without_the_unreadable_ones(tmp_path, saved_model, capsys):
    data = DatasetDict(train=with_broken(make_dataset(12), 4).remove_columns(["label", "person"]))
    data.save_to_disk(str(tmp_path / "photos"))
    words = [
        "unlearn",
        "--model_name_or_path",
        saved_model(),
        "--forget_dataset",
        str(tmp_path / "photos"),
        "--use_cpu",
    ]
    words += ["--forget_kind", "subset", "--forget_label", "predicted", "--output_dir", str(tmp_path / "out"), *STEPS]
    assert main(words) == 2 and "index 4 of" in capsys.readouterr().err
    assert main([*words, "--skip_unreadable"]) == 0
    assert "11 samples" in capsys.readouterr().out
