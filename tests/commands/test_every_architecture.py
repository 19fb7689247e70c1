"""`hf-unlearn train --model_type` makes, trains and saves every verified architecture, small, from random weights."""

from __future__ import annotations

import copy
import csv
import importlib
import json
from pathlib import Path

import pytest
from datasets import DatasetDict

from hf_unlearn import UnlearningError
from hf_unlearn.commands.main import main
from hf_unlearn.models.from_scratch import image_size_of, new_image_classifier
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from tests.tiny import LABELS, make_dataset

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Each has the size of its images elsewhere: nowhere, in a part, as a list, for itself.
QUICK = {"regnet", "segformer", "siglip", "hiera", "hgnet_v2", "vit"}

with (SCRIPTS / "results" / "architectures.csv").open(newline="", encoding="utf-8") as file:
    VERIFIED = [row["architecture"] for row in csv.DictReader(file) if row["verified"] == "yes"]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("tiny_architectures")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    DatasetDict({"train": make_dataset(8, size=32), "test": make_dataset(4, seed=1, size=32)}).save_to_disk(folder)
    return str(folder)


def without_size(overrides):
    """The fields but for the image size: the command puts it where it belongs."""
    left = copy.deepcopy(overrides)
    for part in (left, left.get("vision_config", {})):
        part.pop("image_size", None)
    return left


@pytest.mark.parametrize(
    "architecture", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in VERIFIED]
)
def test_the_command_trains_it(tiny, saved, tmp_path, architecture, capsys):
    size, fields = tiny.image_size(architecture), without_size(tiny.OVERRIDES[architecture])
    words = ["train", "--dataset_name", saved, "--model_type", architecture, "--image_size", str(size)]
    words += ["--config_overrides", json.dumps(fields), "--num_train_epochs", "1", "--per_device_train_batch_size", "4"]
    status = main([*words, "--use_cpu", "--output_dir", str(tmp_path)])
    assert status == 0, capsys.readouterr().err
    model = load_image_classifier(str(tmp_path))
    assert model.config.model_type == architecture and list(model.config.id2label.values()) == LABELS
    assert image_size_of(model.config.to_dict()) in (None, size)
    assert load_image_processor(str(tmp_path)).size["height"] == size


def test_the_size_in_the_fields_is_the_size_of_the_images(tiny, saved, tmp_path):
    fields = {**tiny.OVERRIDES["vit"], "image_size": 24}
    words = ["train", "--dataset_name", saved, "--model_type", "vit", "--config_overrides", json.dumps(fields)]
    words += ["--num_train_epochs", "1", "--use_cpu", "--output_dir", str(tmp_path / "out")]
    assert main(words) == 0
    assert load_image_processor(str(tmp_path / "out")).size["height"] == 24


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--image_size", "32", "--config_overrides", '{"image_size": 24}'], "image_size is 32, and 24 in config_over"),
        (["--model_type", "swin", "--image_size", "64"], "the model does not take images of (3, 64, 64)"),
        (
            ["--config_overrides", '{"hidden_size": "wide"}'],
            "a new vit cannot be made of image_size 224 and config",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_named_as_they_were_given(saved, tmp_path, flags, named, capsys):
    start = [] if "--model_type" in flags else ["--model_type", "vit"]
    words = ["train", "--dataset_name", saved, *start, *flags, "--output_dir", str(tmp_path / "out"), "--use_cpu"]
    assert main(words) == 2
    assert named in capsys.readouterr().err.strip().splitlines()[-1] and not (tmp_path / "out").exists()


def test_an_unknown_field_of_a_part_is_named():
    with pytest.raises(UnlearningError, match="'hiden_size', which a clip vision_config .* did you mean 'hidden_size'"):
        new_image_classifier("clip", LABELS, {"vision_config": {"hiden_size": 16}})
