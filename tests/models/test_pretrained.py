"""Models by name: in the dtype asked for, whole, and in one line where not."""

from __future__ import annotations

import json

import pytest
import torch

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.from_scratch import new_image_classifier, new_image_processor
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from tests.tiny import LABELS, make_model


def test_a_half_precision_checkpoint_is_unlearned_in_float32_unless_asked(tmp_path):
    make_model().bfloat16().save_pretrained(tmp_path)
    assert load_image_classifier(tmp_path).dtype == torch.float32
    assert load_image_classifier(tmp_path, dtype="auto").dtype == torch.bfloat16


def test_weights_come_back_bit_by_bit(tmp_path, architecture):
    model = make_model(architecture)
    model.save_pretrained(tmp_path)
    for name, value in load_image_classifier(tmp_path).state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_a_cut_checkpoint_is_refused(tmp_path):
    make_model().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnlearningError, match="could not be loaded: 'model.safetensors' is broken"):
        load_image_classifier(tmp_path)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("shards", [False, True])
def test_weights_that_were_not_fetched_are_named(tmp_path, shards):
    make_model().save_pretrained(tmp_path, max_shard_size="2KB" if shards else "1GB")
    path = sorted(tmp_path.glob("*.safetensors"))[-1]
    path.write_text(POINTER)
    with pytest.raises(UnlearningError, match=f"{path.name}' is a pointer of Git LFS, not the file itself; .*git lfs"):
        load_image_classifier(tmp_path)


def test_pickled_weights_that_were_not_fetched_are_named(tmp_path):
    make_model().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_text(POINTER)
    with pytest.raises(UnlearningError, match="'pytorch_model.bin' is a pointer of Git LFS"):
        load_image_classifier(tmp_path, allow_pickle=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [("[]", "holds a list; expected an object"), ("{", "is not JSON"), (POINTER, "is a pointer of Git LFS")],
)
def test_settings_that_are_none_are_refused(tmp_path, content, said):
    make_model().save_pretrained(tmp_path)
    new_image_processor(8).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(UnlearningError, match=f"no usable image processor; preprocessor_config.json {said}"):
        load_image_processor(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UnlearningError, match=f"^config.json of model .* {said}"):
        load_image_classifier(tmp_path)


def test_a_folder_without_an_image_processor_is_told_in_few_words(tmp_path):
    make_model().save_pretrained(tmp_path)
    with pytest.raises(UnlearningError, match="comes without an image processor: there is no preprocessor_config.json"):
        load_image_processor(tmp_path)


def test_labels_that_nothing_names_are_not_said_to_be_named(tmp_path):
    make_model().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UnlearningError, match=r"names no labels \(id2label\), of which transformers makes 2, but .* has 4"
    ):
        load_image_classifier(tmp_path)


def test_the_same_seed_gives_the_same_new_model():
    size = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}
    first, again, other = (new_image_classifier("resnet", LABELS, size, seed) for seed in (0, 0, 1))
    assert torch.equal(first.classifier[1].weight, again.classifier[1].weight)
    assert not torch.equal(first.classifier[1].weight, other.classifier[1].weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, architecture, value):
    model = make_model(architecture)
    name, weight = list(model.named_parameters())[-1]
    with torch.no_grad():
        weight.view(-1)[0] = value
    model.save_pretrained(tmp_path)
    with pytest.raises(UnlearningError, match="not finite numbers") as caught:
        load_image_classifier(tmp_path)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_a_model_that_gives_an_image_no_single_label_is_refused(tmp_path, problem):
    model = make_model()
    model.config.problem_type = problem
    model.save_pretrained(tmp_path)
    with pytest.raises(UnlearningError, match=problem):
        load_image_classifier(tmp_path)
