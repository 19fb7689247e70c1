"""Columns of logits: one for each of a model's outputs, with the dataset's labels first."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import ClassLabel, DatasetDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_unlearn import ForgetRequest, UnlearningError, make_splits
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.logits import LogitStore, further_labels, label_order
from hf_unlearn.evaluation.predict import Contestant
from tests.tiny import LABELS, make_dataset, make_model, make_processor, make_reference


@pytest.fixture(scope="module")
def data():
    return DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})


@pytest.fixture(scope="module")
def splits(data):
    return make_splits(data, ForgetRequest(classes="red"))


def labelled(names) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(id2label=dict(enumerate(names))))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.sampled_from([*LABELS, "violet", "crane"]), max_size=5).map(lambda more: [*LABELS, *more]),
    data=st.data(),
)
def test_every_output_has_one_column(splits, names, data):
    """Whatever the order, and however many of a model's labels share a name."""
    model = labelled(data.draw(st.permutations(names)))
    once = [label for label in range(4) if names.count(LABELS[label]) == 1]
    used = data.draw(st.lists(st.sampled_from(once), unique=True).map(sorted)) if once else []
    some = dataclasses.replace(splits, used_labels=tuple(used))
    order = label_order(model, some)
    assert sorted(order) == list(range(len(names)))
    assert [model.config.id2label[class_id] for class_id in order[: len(used)]] == [LABELS[label] for label in used]
    assert further_labels(model, some) == sorted(further_labels(model, some))


def test_labels_count_as_columns(splits, tmp_path):
    some = dataclasses.replace(splits, label_names=["none", *LABELS], used_labels=(0, 1, 3))
    store = LogitStore(tmp_path, some, 4, "cpu")
    assert (store.labels("test") == np.searchsorted([0, 1, 3], splits.test_labels())).all()


def test_a_model_lacks_a_label_that_no_sample_has(data):
    """A selection of a dataset keeps the names of all its labels; a model of the selection knows its own."""
    names = ["aqua", *LABELS]
    wide = DatasetDict({name: shifted(part, names) for name, part in data.items()})
    both = [make_splits(dataset, ForgetRequest(classes="red")) for dataset in (data, wide)]
    model = {"unlearned": Contestant("u", make_model(), make_processor())}
    plain, padded = (compare_models(model, each) for each in both)
    assert padded["models"] == plain["models"] and padded["curves"] == plain["curves"]


def shifted(dataset, names):
    labels = [label + 1 for label in dataset["label"]]
    return dataset.remove_columns("label").add_column("label", labels, feature=ClassLabel(names=names))


def test_references_are_compared_by_what_the_dataset_calls_its_labels(splits):
    """Names of the other model that mean the same are no other labels; further answers are."""
    unlearned = {"unlearned": Contestant("u", make_model(), make_processor())}
    generic = make_reference(1, label_names=[f"LABEL_{label}" for label in range(4)])
    assert compare_models(unlearned, splits, [Contestant("r", generic, make_processor())])["models"]["retrained"]
    other = make_model(label_names=[*LABELS, "crane"])
    other.config.id2label = {**other.config.id2label, 4: "red"}
    mapped = dataclasses.replace(splits, label_mapping={"red": 0})
    with pytest.raises(UnlearningError, match="'r' has other labels than the unlearned one: 'red' is in one of them"):
        compare_models(unlearned, mapped, [Contestant("r", other, make_processor())])


def test_every_spelling_of_a_class_gives_the_same_figures(data):
    train = data["train"]
    rows = [row for row, label in enumerate(train["label"]) if label == 2]
    given_set = DatasetDict({**data, "gone": train.select(rows)})
    spellings = [
        {"classes": "blue"},
        {"classes": 2},
        {"where": {"label": "blue"}},
        {"indices": rows},
        {"split": "gone"},
        {"dataset_config": "gone"},
    ]
    both = {
        role: Contestant(role, make_model(seed=seed), make_processor())
        for seed, role in enumerate(("original", "unlearned"))
    }
    reference = Contestant("r", make_reference(2, without=2), make_processor())
    found = []
    for fields in spellings:
        made = make_splits(
            given_set, ForgetRequest(**fields), load_config=lambda name: DatasetDict(train=given_set["gone"])
        )
        results = compare_models(both, made, [reference], level="standard")
        found.append({name: value for name, value in results.items() if name not in ("request", "fingerprint")})
    assert found[0]["models"]["unlearned"]["test_accuracy_forgotten"] is not None
    for fields, results in zip(spellings, found, strict=True):
        assert results == found[0], fields
