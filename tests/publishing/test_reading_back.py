"""What is read back from the Hub, and what it is held against."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download
from transformers import ResNetForImageClassification, ViTForImageClassification, ViTImageProcessorPil

from hf_unlearn import UnlearningError
from hf_unlearn.errors import PublishingError
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.publishing.reading_back import ReadingBack, tried_pixels
from hf_unlearn.publishing.record import read_record
from tests.hub import Fault
from tests.tiny import make_model, make_processor

REPO = "org/forgot-red"


def push(folder):
    return push_folder(str(folder), REPO, push_anyway=True)


@pytest.mark.parametrize("file", [*range(5)])
def test_a_hub_that_serves_another_file_is_found(connected_hub, unlearned, file):
    connected_hub.inject(Fault("garbled", call="resolve", method="GET", after=file, times=1))
    with pytest.raises(PublishingError, match="there is another than in"):
        push(unlearned)
    assert connected_hub.repository(REPO).paths() == [".gitattributes"]


def test_a_folder_of_the_repositorys_name_is_not_what_the_hub_serves(connected_hub, unlearned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(unlearned, tmp_path / REPO)
    connected_hub.inject(Fault("500", call="resolve", times=1000))
    with pytest.raises(PublishingError, match="cannot be read back"):
        push(unlearned)


@pytest.mark.parametrize("file", ["unlearning.json", "README.md", "model.safetensors"])
def test_what_is_broken_in_the_cache_is_fetched_anew(connected_hub, unlearned, file):
    commit = push(unlearned)
    path = Path(hf_hub_download(REPO, file, revision=commit))
    path.write_bytes(b"?" * path.stat().st_size)
    assert push(unlearned) == commit


def test_what_is_whole_in_the_cache_alone_is_not_what_the_hub_serves(connected_hub, unlearned):
    commit = push(unlearned)
    for file in connected_hub.repository(REPO).paths():
        hf_hub_download(REPO, file, revision=commit)
    connected_hub.inject(Fault("garbled", call="resolve", method="GET", after=2, times=1000))
    with pytest.raises(PublishingError, match="there is another than in"):
        push(unlearned)


def test_what_the_files_make_is_held_against_the_model_here(unlearned, tmp_path):
    """By their digests the files are the same; this is of what is loaded from them."""
    local = load_image_classifier(unlearned)
    back = ReadingBack(str(unlearned), local)
    assert back._fault(str(unlearned)) is None
    there = shutil.copytree(unlearned, tmp_path / "there")
    (there / "unlearning.json").write_text(json.dumps({**read_record(str(there)), "stop_reason": "another"}))
    assert "record" in back._fault(str(there))
    make_processor().__class__(do_normalize=False).save_pretrained(there)
    assert "image processor" in back._fault(str(there))
    local.config.id2label[0] = "crimson"
    local.save_pretrained(there)
    back.local = load_image_classifier(unlearned)
    assert "labels" in back._fault(str(there))
    back.logits = back.logits + 1
    assert "answers differently by up to 1" in back._fault(str(unlearned)).replace("(", "").replace(
        f"from the one in {str(unlearned)!r} ", ""
    )
    make_model(seed=9).save_pretrained(there)
    assert "weights" in back._fault(str(there))
    (there / "config.json").unlink()
    assert "cannot be loaded back" in back._fault(str(there))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_that_a_push_is_tried_with_are_the_models_size(channels):
    config = make_model("vit").config
    config.num_channels = channels
    model = ViTForImageClassification(config).eval()
    unchanged = ViTImageProcessorPil(do_resize=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    for processor in (unchanged, make_processor()):
        assert tried_pixels(model, processor)[0].shape == (4, channels, 16, 16)


def test_an_image_processor_that_does_not_resize_can_be_pushed(connected_hub, unlearned):
    ViTImageProcessorPil(do_resize=False).save_pretrained(unlearned)
    assert push(unlearned) == connected_hub.repository(REPO).sha


def test_a_size_that_only_the_model_knows_is_found():
    """A ResNet that takes 28 pixels at most, as one whose positions are learned would, and does not say so."""

    class Picky(ResNetForImageClassification):
        def forward(self, pixel_values=None, **kwargs):
            if pixel_values.shape[-1] > 28:
                raise RuntimeError("too large")
            return super().forward(pixel_values=pixel_values, **kwargs)

    pixels, logits = tried_pixels(Picky(make_model().config).eval(), ViTImageProcessorPil(do_resize=False))
    assert pixels.shape[-2:] == (28, 28) and logits.shape == (4, 4)


def test_a_model_that_takes_no_image_is_refused_before_the_push(connected_hub, unlearned, monkeypatch):
    monkeypatch.setattr(ResNetForImageClassification, "forward", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(UnlearningError, match="takes no image from its image processor"):
        push(unlearned)
    assert connected_hub.calls("commit", "create") == []
