"""Label maps as the Hub has them: `id2label` leads, what contradicts it is said, what cannot be read is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError, warn_once
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.models.pretrained import load_config, load_image_classifier
from tests.tiny import LABELS, make_model

BY_ID = {str(class_id): label for class_id, label in enumerate(LABELS)}
BY_NAME = {label: class_id for class_id, label in enumerate(LABELS)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    return folder


@pytest.fixture
def with_maps(saved, tmp_path):
    """The model with other fields in its config.json; None takes a field out."""
    warn_once.cache_clear()

    def change(**fields):
        config = {**json.loads((saved / "config.json").read_text()), **fields}
        kept = {name: value for name, value in config.items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(kept))
        (tmp_path / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
        return tmp_path

    return change


@pytest.mark.parametrize(
    "maps",
    [
        {"label2id": None},
        {"id2label": None},
        {"id2label": None, "label2id": {label: str(class_id) for label, class_id in BY_NAME.items()}},
        {"id2label": dict(reversed(BY_ID.items()))},
        {"label2id": {"red": 0}},
    ],
)
def test_one_map_is_enough(with_maps, maps, caplog):
    folder = with_maps(**maps)
    config = load_image_classifier(folder).config
    assert config.id2label == dict(enumerate(LABELS)) and config.label2id == BY_NAME
    assert not caplog.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(order=st.permutations(range(4)), shift=st.integers(0, 2))
def test_id2label_leads_and_what_contradicts_it_is_said(with_maps, caplog, order, shift):
    caplog.clear()
    other = {label: class_id + shift for label, class_id in zip(LABELS, order, strict=True)}
    folder = with_maps(label2id=other)
    config = load_config(str(folder))
    assert config.id2label == dict(enumerate(LABELS)) and config.label2id == BY_NAME
    assert ("contradicts id2label" in caplog.text) is (other != BY_NAME)


def test_two_labels_of_one_name_are_no_contradiction(with_maps, caplog):
    maps = {"id2label": {**BY_ID, "2": "red"}, "label2id": {"red": 2, "green": 1, "grey": 3}}
    assert load_config(str(with_maps(**maps))).id2label[2] == "red"
    assert not caplog.text


def test_maps_the_wrong_way_round_in_memory_are_named():
    config = make_model().config
    config.id2label = BY_NAME
    with pytest.raises(UnlearningError, match="config.id2label is {'red': 0, .*; expected label names by id"):
        id2label_of(config)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"id2label": LABELS}, r"id2label of its config.json is \['red', .*; expected label names by id"),
        ({"id2label": BY_NAME, "label2id": BY_ID}, "id2label of its config.json is {'red': 0"),
        ({"id2label": "red"}, "id2label of its config.json is 'red'"),
        ({"id2label": None, "label2id": {"red": 1, "green": 2}}, "are not 0 to 1"),
        ({"id2label": None, "label2id": {"red": 0, "green": None}}, "are not 0 to 1"),
        ({"id2label": {str(at): f"c{at}" for at in range(10)}}, "names 10 labels .* its checkpoint has 4 outputs"),
        ({"id2label": {"0": "red"}}, "1 label"),
        ({"hidden_sizes": [8, 24]}, r"its checkpoint has '\S+' in the size .* in \("),
    ],
)
def test_what_cannot_be_read_is_named(with_maps, maps, message):
    with pytest.raises(UnlearningError, match=message) as caught:
        load_image_classifier(with_maps(**maps))
    assert "\n" not in str(caught.value) and "was not found" not in str(caught.value)
