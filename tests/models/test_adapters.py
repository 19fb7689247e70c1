"""LoRA adapters by name: loaded beside their base whole, or refused in one line."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from hf_unlearn import UnlearningError
from hf_unlearn.models.adapters import adapter_record, inner_model, is_adapter
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from tests.tiny import LABELS, make_adapter, make_model, make_processor

NAMES = ["one", "two", "three", "four", "five"]


@pytest.fixture
def base(tmp_path):
    """A base with other labels than the adapter's, and the image processor."""
    make_model("vit", label_names=NAMES).save_pretrained(tmp_path / "base")
    make_processor().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def test_loaded_whole_with_its_own_labels(tmp_path, base):
    saved = make_adapter(base, tmp_path / "adapter")
    loaded = load_image_classifier(tmp_path / "adapter")
    assert is_adapter(loaded) and not is_adapter(make_model("vit")) and not loaded.training
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loaded(pixel_values=pixels)["logits"], saved(pixel_values=pixels)["logits"])
    assert list(inner_model(loaded).config.id2label.values()) == LABELS
    trainable = {name for name, value in loaded.named_parameters() if value.requires_grad}
    assert trainable == {name for name, value in saved.named_parameters() if value.requires_grad}
    assert load_image_processor(tmp_path / "adapter").to_dict() == make_processor().to_dict()


def test_labels_of_the_base_where_the_adapter_has_none(tmp_path, base):
    make_adapter(base, tmp_path / "adapter", label_names=NAMES)
    (tmp_path / "adapter" / "config.json").unlink()
    assert list(load_image_classifier(tmp_path / "adapter").config.id2label.values()) == NAMES


def spoil(tmp_path, **changes):
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_dora": True}, "it is a DoRA"),
        ({"peft_type": "IA3"}, "it is of type IA3"),
        ({"base_model_name_or_path": None}, "does not name its base"),
        ({"base_model_name_or_path": "/no/such/folder"}, "there is no such folder"),
        # As before transformers 5.
        (
            {"target_modules": ["query", "value"]},
            "does not fit its base: no module is called as its target_modules are, query, value",
        ),
        ({"target_modules": ["q_proj"]}, "do not fit its base: 'base_model.model.vit.layers.0.attention.v_proj"),
        ({"r": 3}, "do not fit its base"),
        ({"peft_type": "NOTHING"}, "does not hold"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, base, changes, named):
    make_adapter(base, tmp_path / "adapter")
    spoil(tmp_path, **changes)
    with pytest.raises(UnlearningError, match=named) as caught:
        load_image_classifier(tmp_path / "adapter")
    assert "\n" not in str(caught.value)


def test_a_head_that_nobody_trained_is_refused(tmp_path, base):
    # The adapter says that the labels are others, and brings no head for them.
    make_adapter(base, tmp_path / "adapter", with_head=False)
    with pytest.raises(UnlearningError, match="not a trained image classifier.*'classifier"):
        load_image_classifier(tmp_path / "adapter")


def test_weights_that_are_not_there_or_broken(tmp_path, base):
    make_adapter(base, tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UnlearningError, match="cannot be read"):
        load_image_classifier(tmp_path / "adapter")
    weights.unlink()
    with pytest.raises(UnlearningError, match="no weights as safetensors"):
        load_image_classifier(tmp_path / "adapter")


def test_without_peft_it_says_what_to_install(tmp_path, base, monkeypatch):
    make_adapter(base, tmp_path / "adapter")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UnlearningError, match=r"pip install hf-unlearn\[peft\]"):
        load_image_classifier(tmp_path / "adapter")


def test_a_record_names_no_folder(tmp_path, base):
    record = adapter_record(make_adapter(base, tmp_path / "adapter"))
    assert record == {"type": "LoRA", "base_model": "base", "base_revision": None, "base_from_hub": False}
    assert adapter_record(make_model("vit")) is None
