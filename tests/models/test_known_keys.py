"""Of the settings of a model only what its class defines is saved, and so published."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING, AutoModelForImageClassification, ViTConfig

from hf_unlearn.models.known_keys import keep_known_keys
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.models.weights import weights_digest
from tests.own_code import save_own_model
from tests.tiny import make_model, make_processor

SECRET = "/srv/jane-doe/patients"
NASTY = {
    "_name_or_path": SECRET,
    "name_or_path": SECRET,
    "_commit_hash": SECRET,
    "finetuning_data": SECRET,
    "author": {"name": SECRET},
    "notes": [SECRET],
    "kwargs": {"path": SECRET},
    "attribute_map": {SECRET: "x"},
    "keys_to_ignore_at_inference": [SECRET],
    "task_specific_params": {"path": SECRET},
    SECRET: 1,
}
FILES = ("config.json", "preprocessor_config.json")


def with_keys(folder, extra, files=FILES):
    for name in files:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **extra}))


def read(folder):
    return {name: json.loads((folder / name).read_text()) for name in FILES}


def saved_again(folder, trusted=False):
    """What `keep_known_keys` leaves of a model's folder that was loaded and saved."""
    model = load_image_classifier(folder, trust_remote_code=trusted)
    processor = load_image_processor(folder, trust_remote_code=trusted)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if not trusted:
        # So that what is looked for would be there.
        assert SECRET in json.dumps(read(folder))
    keep_known_keys(folder, model, processor)
    return model


@pytest.mark.parametrize("architecture", ["resnet", "vit"])
def test_what_the_classes_do_not_define_goes_and_the_rest_stays(tmp_path, architecture):
    make_model(architecture).save_pretrained(tmp_path)
    make_processor().save_pretrained(tmp_path)
    before = read(tmp_path)
    with_keys(tmp_path, NASTY)
    model = saved_again(tmp_path)
    assert read(tmp_path) == before
    assert weights_digest(load_image_classifier(tmp_path)) == weights_digest(model)


KEYS = st.text(min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(KEYS, below, max_size=2),
    max_leaves=3,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(extra=st.dictionaries(KEYS, VALUES, max_size=4))
def test_no_key_gets_through(tmp_path, extra):
    model, processor = make_model(), make_processor()
    model.config.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    before = read(tmp_path)
    known = {*before["config.json"], *model.config.to_dict(), *before["preprocessor_config.json"], *vars(processor)}
    with_keys(tmp_path, {key: value for key, value in extra.items() if key not in known})
    keep_known_keys(tmp_path, model, processor)
    assert read(tmp_path) == before


def test_below_a_key_that_holds_another_configuration_too(tmp_path):
    class Both(ViTConfig):
        inner: dict | ViTConfig | None = None

    model = make_model("vit")
    model.config = Both(inner=ViTConfig(hidden_size=8, secret=SECRET))
    model.config.save_pretrained(tmp_path)
    assert SECRET in (tmp_path / "config.json").read_text()
    keep_known_keys(tmp_path, model, None)
    held = json.loads((tmp_path / "config.json").read_text())
    assert held["inner"]["hidden_size"] == 8 and SECRET not in json.dumps(held)


def test_of_code_that_goes_along_what_it_names_stays(tmp_path):
    folder = tmp_path / "own"
    save_own_model(folder)
    code = folder / "modeling_own.py"
    code.write_text(
        code.read_text().replace("config.num_labels)", 'config.num_labels)\n        getattr(config, "louder", 1)')
    )
    with_keys(folder, {**NASTY, "width": 8, "louder": 2})
    saved_again(folder, trusted=True)
    held = read(folder)
    assert held["config.json"]["width"] == 8 and held["config.json"]["louder"] == 2 and held["config.json"]["auto_map"]
    assert held["preprocessor_config.json"]["auto_map"] and SECRET not in json.dumps(held)
    assert load_image_classifier(folder, trust_remote_code=True).config.louder == 2


def test_of_code_that_was_not_run_nothing_stays(tmp_path):
    make_model().save_pretrained(tmp_path)
    make_processor().save_pretrained(tmp_path)
    (tmp_path / "modeling_own.py").write_text("patients = config.patients")
    with_keys(tmp_path, {"auto_map": {"AutoModelForImageClassification": "modeling_own.X"}, "patients": SECRET})
    keep_known_keys(tmp_path, make_model(), make_processor())
    assert SECRET not in json.dumps(read(tmp_path))


def test_an_image_processor_in_a_file_of_several_parts(tmp_path):
    make_processor().save_pretrained(tmp_path)
    settings_ = json.loads((tmp_path / "preprocessor_config.json").read_text())
    path = tmp_path / "processor_config.json"
    path.write_text(json.dumps({"image_processor": {**settings_, "note": SECRET}, "tokenizer": SECRET}))
    keep_known_keys(tmp_path, make_model(), make_processor())
    assert json.loads(path.read_text()) == {"image_processor": settings_}


@pytest.mark.parametrize(
    "model_type", sorted({kind.model_type for kind in AutoModelForImageClassification._model_mapping})
)
def test_of_every_architecture_all_of_its_own_stays(tmp_path, model_type):
    try:
        config = CONFIG_MAPPING[model_type]()
    except (ImportError, ValueError, TypeError):
        pytest.skip("it cannot be made without what is not installed")
    config.save_pretrained(tmp_path)
    before = json.loads((tmp_path / "config.json").read_text())
    model = make_model()
    model.config = config
    keep_known_keys(tmp_path, model, None)
    assert json.loads((tmp_path / "config.json").read_text()) == before
