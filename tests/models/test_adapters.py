"""Adapters by name: onto their base, whole, and in one line where not."""

from __future__ import annotations

import json
import sys

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.adapter_checks import refuse_unverified_adapter
from hf_unlearn.models.adapters import (
    adapter_tensors,
    base_classifier,
    base_of,
    find_adapter,
    is_adapter,
    restore_adapter,
    save_adapter,
)
from hf_unlearn.models.pretrained import load_config, load_image_classifier, load_image_processor
from hf_unlearn.models.weights import weights_digest
from tests.tiny import LABELS, make_adapter, make_model, make_processor

PIXELS = torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)


def answers(model):
    with torch.no_grad():
        return model.eval()(pixel_values=PIXELS)["logits"]


@pytest.fixture
def saved(tmp_path):
    """A function that saves an adapter and its base, as peft does; the adapter's folder."""

    def save(base=None, own_config=False, seed=0, **settings):
        base = make_model("vit") if base is None else base
        base.save_pretrained(tmp_path / "base")
        make_processor().save_pretrained(tmp_path / "base")
        model = make_adapter(load_base(tmp_path / "base"), seed, **settings)
        model.save_pretrained(tmp_path / "adapter")
        if own_config:
            base.config.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter", model

    return save


def load_base(folder):
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(folder)


def change(folder, **fields):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    "settings", [{}, {"use_rslora": True, "modules_to_save": None}, {"rank_pattern": {"q_proj": 3}}]
)
def test_an_adapter_loads_onto_its_base_with_its_weights_trainable(saved, settings):
    folder, model = saved(**settings)
    loaded = load_image_classifier(folder)
    assert is_adapter(loaded) and isinstance(loaded, peft.PeftModel) and not loaded.training
    for name, tensor in adapter_tensors(model).items():
        assert torch.equal(tensor, adapter_tensors(loaded)[name])
    assert torch.equal(answers(loaded), answers(model))
    moving = {name for name, each in loaded.named_parameters() if each.requires_grad}
    assert moving == {name for name, each in model.named_parameters() if each.requires_grad}
    refuse_unverified_adapter(loaded)
    # Its processor is the base's, since it has none.
    assert load_image_processor(folder).to_dict() == make_processor().to_dict()


def test_a_head_of_its_own_with_labels_of_its_own(saved, tmp_path):
    folder, model = saved(own_config=True)
    # The base of a fine-tune is a backbone with another head, or with none.
    make_model("vit", label_names=["a", "b", "c", "d", "e", "f"]).save_pretrained(tmp_path / "base")
    loaded = load_image_classifier(folder)
    assert list(loaded.config.id2label.values()) == LABELS
    assert torch.equal(answers(loaded), answers(model))
    # The head of the base has no part in it, whatever it is.
    assert weights_digest(loaded) == weights_digest(load_image_classifier(folder))

    (folder / "config.json").unlink()
    with pytest.raises(UnlearningError, match=r"classifier.* is \(4,.*expected \(6,.*needs its config.json") as error:
        load_image_classifier(folder)
    assert "\n" not in str(error.value)


def test_a_head_that_nobody_trained_is_refused(saved, tmp_path):
    folder, _ = saved(own_config=True, modules_to_save=None)
    make_model("vit", label_names=["a", "b"]).save_pretrained(tmp_path / "base")
    with pytest.raises(UnlearningError, match="has the trained weights 'classifier.bias'"):
        load_image_classifier(folder)


def test_names_that_layers_had_when_the_adapter_was_trained(saved):
    """ViT's `query` is `q_proj` now; what is on the Hub was mostly trained before."""
    folder, model = saved()
    old = {"vit.layers.": "vit.encoder.layer.", ".q_proj": ".attention.query", ".v_proj": ".attention.value"}
    weights = load_file(folder / "adapter_model.safetensors")
    for new, before in old.items():
        weights = {name.replace(new, before): tensor for name, tensor in weights.items()}
    save_file(weights, folder / "adapter_model.safetensors")
    change(folder, target_modules=["query", "value"])
    assert torch.equal(answers(load_image_classifier(folder)), answers(model))
    change(folder, rank_pattern={"query": 2})
    with pytest.raises(UnlearningError, match="ranks by layer, under names that the base no longer has"):
        load_image_classifier(folder)


def test_merged_it_is_a_model_like_any_other(saved):
    folder, model = saved()
    merged = load_image_classifier(folder, merge_adapter=True)
    assert type(merged) is type(make_model("vit")) and not is_adapter(merged)
    assert merged.state_dict().keys() == make_model("vit").state_dict().keys()
    torch.testing.assert_close(answers(merged), answers(model))


def test_saved_by_us_it_holds_no_path_and_loads(saved, tmp_path):
    folder, model = saved()
    loaded = load_image_classifier(folder)
    for name in ("out", "again"):
        save_adapter(loaded, str(tmp_path / name))
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("adapter_config.json", "adapter_model.safetensors", "config.json", "adapter_base.json")
    }
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "base" and config["inference_mode"] is True
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
        # Where the base lies is in the one file that is not published.
        assert (str(tmp_path).encode() in path.read_bytes()) == (path.name == "adapter_base.json")
    assert weights_digest(load_image_classifier(out)) == weights_digest(loaded)
    assert torch.equal(answers(peft.PeftModel.from_pretrained(load_base(tmp_path / "base"), out)), answers(model))


def test_the_name_of_a_base_is_published_and_a_folder_is_not(tmp_path):
    model = make_adapter()
    config = model.peft_config["default"]
    named = {
        "org/vit": ("org/vit", True),
        str(tmp_path): (tmp_path.name, False),
        "/of/someone/else/vit": ("vit", False),
        "../models/vit/": ("vit", False),
        None: (None, False),
    }
    for given, (name, from_hub) in named.items():
        config.base_model_name_or_path = given
        assert base_of(model)[::2] == (name, from_hub)


def test_restoring_takes_all_tensors_or_none(tmp_path):
    model, other = make_adapter(seed=1), make_adapter(seed=2, r=3)
    save_adapter(model, str(tmp_path / "a"))
    save_adapter(other, str(tmp_path / "b"))
    fresh = make_adapter(seed=3)
    restore_adapter(fresh, str(tmp_path / "a"))
    assert weights_digest(fresh) == weights_digest(model)
    with pytest.raises(UnlearningError, match=r"is another one: .*lora_A.* is \(3, 16\), expected \(2, 16\)"):
        restore_adapter(fresh, str(tmp_path / "b"))
    with pytest.raises(UnlearningError, match="cannot be read"):
        restore_adapter(fresh, str(tmp_path))
    assert weights_digest(fresh) == weights_digest(model)


def test_fields_of_a_later_peft_that_are_not_in_use_are_no_reason_to_refuse(saved):
    folder, model = saved()
    change(folder, use_something_new=False, something_config=None)
    assert torch.equal(answers(load_image_classifier(folder)), answers(model))


def test_dtypes(saved):
    folder, _ = saved()
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load_image_classifier(folder, dtype=dtype)
        assert {each.dtype for each in loaded.parameters()} == {dtype}


# What is refused


def test_without_peft_it_says_what_to_install(saved, monkeypatch):
    folder, _ = saved()
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UnlearningError, match=r"^model '.*' is an adapter, .*`pip install hf-unlearn\[peft\]`$"):
        load_image_classifier(folder)


def test_what_is_not_whole(saved, tmp_path):
    folder, _ = saved()
    change(folder, base_model_name_or_path=None)
    with pytest.raises(UnlearningError, match="does not name its base model"):
        load_image_classifier(folder)
    change(folder, base_model_name_or_path=str(tmp_path / "nowhere"))
    with pytest.raises(UnlearningError, match="the base '.*nowhere' of adapter '.*' cannot be used: .*no such folder"):
        load_image_classifier(folder)
    change(folder, base_model_name_or_path=str(folder))
    with pytest.raises(UnlearningError, match="is an adapter itself"):
        load_image_classifier(folder)
    change(folder, base_model_name_or_path=str(tmp_path / "base"))
    weights = load_file(folder / "adapter_model.safetensors")
    first = sorted(weights)[0]
    save_file({name: each for name, each in weights.items() if name != first}, folder / "adapter_model.safetensors")
    with pytest.raises(UnlearningError, match=f"{first}' is not there"):
        load_image_classifier(folder)
    save_file({**weights, "more": torch.ones(1)}, folder / "adapter_model.safetensors")
    with pytest.raises(UnlearningError, match=r"'more' is \(1,\), expected none"):
        load_image_classifier(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(UnlearningError, match="cannot be read"):
        load_image_classifier(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(UnlearningError, match="has no weights"):
        load_image_classifier(folder)
    (folder / "adapter_config.json").write_text("[")
    with pytest.raises(UnlearningError, match="not a JSON object"):
        load_image_classifier(folder)


def test_an_adapter_of_another_architecture_does_not_fit(saved, tmp_path):
    folder, _ = saved()
    make_model("resnet").save_pretrained(tmp_path / "base")
    with pytest.raises(UnlearningError, match="does not fit its base"):
        load_image_classifier(folder)


def test_pickled_weights_are_taken_only_when_asked_for(saved):
    folder, model = saved()
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(UnlearningError, match="--allow_pickle"):
        load_image_classifier(folder)
    assert torch.equal(answers(load_image_classifier(folder, allow_pickle=True)), answers(model))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"use_dora": True}, "its use_dora is True, a variant of LoRA"),
        ({"bias": "all"}, "its bias is 'all', a variant of LoRA"),
        ({"trainable_token_indices": [1]}, "its trainable_token_indices is"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which changes the base's weights"),
        ({"peft_type": "IA3"}, "its peft_type is IA3; expected LORA"),
        ({"peft_type": "PROMPT_TUNING", "task_type": "SEQ_CLS"}, "its peft_type is PROMPT_TUNING; expected LORA"),
        ({"peft_type": "NONE_SUCH"}, "cannot be read"),
        ({"use_something_new": True}, "use_something_new True, which peft .* does not know"),
    ],
)
def test_kinds_that_nobody_tried(saved, fields, named):
    folder, _ = saved()
    change(folder, **fields)
    with pytest.raises(UnlearningError, match=named) as error:
        load_image_classifier(folder)
    assert "\n" not in str(error.value)


def frozen(model):
    model.requires_grad_(False)


def unfrozen(model):
    base_classifier(model).vit.layernorm.weight.requires_grad_(True)


def quantised(model):
    base_classifier(model).is_quantized = True


def in_integers(model):
    norm = base_classifier(model).vit.layernorm
    norm.weight = torch.nn.Parameter(torch.ones(16, dtype=torch.int8), requires_grad=False)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda model: model.add_adapter("two", model.peft_config["default"]), "the adapters 'default', 'two'"),
        (lambda model: model.merge_adapter(), "it is merged into the base"),
        (lambda model: model.base_model.disable_adapter_layers(), "it is switched off"),
        (frozen, r"none of its weights is trainable; .*is_trainable=True"),
        (unfrozen, "'base_model.model.vit.layernorm.weight' of the base is trainable"),
        (quantised, "its base is quantised"),
        (in_integers, "its base is quantised"),
    ],
)
def test_states_that_cannot_be_unlearned(change, named):
    model = make_adapter()
    refuse_unverified_adapter(model)
    change(model)
    with pytest.raises(UnlearningError, match=named):
        refuse_unverified_adapter(model)


def test_batch_statistics_would_not_be_saved():
    config = peft.LoraConfig(target_modules=["convolution"], modules_to_save=["classifier"])
    model = peft.get_peft_model(make_model("resnet"), config)
    refuse_unverified_adapter(model)
    with pytest.raises(UnlearningError, match="train_mode would move the base's BatchNorm"):
        refuse_unverified_adapter(model, train_mode=True)


def test_an_adapter_inside_a_model_of_transformers_is_refused():
    model = make_model("vit")
    model._hf_peft_config_loaded = True
    with pytest.raises(UnlearningError, match="in a ViTForImageClassification; expected a peft.PeftModel"):
        refuse_unverified_adapter(model)
    config = peft.LoraConfig(target_modules=["classifier"])
    with pytest.raises(UnlearningError, match="in a PeftMixedModel"):
        refuse_unverified_adapter(peft.get_peft_model(make_model("vit"), config, mixed=True))


def test_what_is_no_adapter_is_none(saved, tmp_path):
    folder, _ = saved()
    assert find_adapter(str(tmp_path / "base")) is None and find_adapter(str(tmp_path / "nowhere")) is None
    assert find_adapter(str(folder)).base == str(tmp_path / "base")
    with pytest.raises(UnlearningError, match="expected a whole model"):
        load_image_classifier(folder, config=load_config(str(tmp_path / "base")))
    assert not is_adapter(make_model("vit")) and base_classifier(model := make_model("vit")) is model
