from __future__ import annotations

import logging
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hf_unlearn.errors import UnlearningError, warn_once
from hf_unlearn.request.matching import check_mapped_labels, match_labels, resolve_classes

NAMES = ["T-shirt/top", "Ankle boot", "Bag"]
ANIMALS = dict(enumerate(["owl", "cat", "ant", "dog"]))
CRANES = dict(enumerate(["crane", "green", "crane", "grey"]))
# Letters that Unicode can write in two ways, and what makes names hard to read.
LETTERS = st.text(st.sampled_from("aé\u00fcz\ufb01\u2460 ,'-_1Å"), min_size=1, max_size=6)


@pytest.fixture(autouse=True)
def said_anew():
    warn_once.cache_clear()


@given(st.permutations(range(6)), st.integers(1, 6))
def test_labels_are_matched_by_name_whatever_the_order(order, num_known):
    names = [f"class {position}" for position in range(num_known)]
    matched = match_labels(names, {position: f"class {label}" for position, label in enumerate(order)})
    assert [order[position] for position in matched] == list(range(num_known))


@given(st.lists(LETTERS, min_size=2, max_size=8, unique_by=lambda name: unicodedata.normalize("NFC", name)), st.data())
def test_the_normal_form_of_names_does_not_matter(names, data):
    order = data.draw(st.permutations(range(len(names))))
    forms = [data.draw(st.sampled_from(["NFC", "NFD"])) for _ in names]
    id2label = {
        class_id: unicodedata.normalize(form, names[label])
        for (class_id, label), form in zip(enumerate(order), forms, strict=True)
    }
    assert [order[class_id] for class_id in match_labels(names, id2label)] == list(range(len(names)))
    for label, name in enumerate(names):
        assume(not name.isdigit())
        assert resolve_classes([unicodedata.normalize("NFD", name)], names) == [label]


def test_case_and_separators_do_not_matter():
    assert match_labels(NAMES, {0: "bag", 1: "ankle_boot", 2: "T Shirt/Top"}) == [2, 1, 0]
    assert match_labels(["\tankle  boot\n", "bag\u00a0"], dict(enumerate(["Bag", "Ankle-Boot"]))) == [1, 0]


def test_an_exact_name_comes_before_a_similar_one():
    assert match_labels(["Bag", "hat"], {0: "bag", 1: "Bag", 2: "hat"}) == [1, 2]


def test_generic_labels_are_taken_in_order(caplog):
    generic = {position: f"LABEL_{position}" for position in range(4)}
    assert match_labels(NAMES, generic) == [0, 1, 2]
    assert "are taken by their ids" in caplog.text
    assert match_labels(["1", "3"], generic, values=(1, 3)) == [1, 3]


def test_a_dataset_may_use_generic_names_itself():
    assert match_labels(["LABEL_1", "LABEL_0"], {0: "LABEL_0", 1: "LABEL_1"}) == [1, 0]


def test_labels_that_no_sample_has_need_no_match():
    assert match_labels(["cat", "yak", "owl"], ANIMALS, used=[0, 2]) == [1, -1, 0]
    assert match_labels(["cat", "CAT", "owl"], ANIMALS, used=[1, 2]) == [-1, 1, 0]


def test_integers_are_class_ids_where_they_fit_and_else_in_order(caplog):
    assert match_labels(["0", "3"], ANIMALS, values=(0, 3)) == [0, 3]
    assert "are taken by their ids" in caplog.text
    assert match_labels(["1", "2", "3", "4"], ANIMALS, values=(1, 2, 3, 4)) == [0, 1, 2, 3]
    assert "in their order, as there are 4 on both sides" in caplog.text
    # A `ClassLabel` without names, or with generic ones, is no more than integers.
    assert match_labels(["0", "1"], ANIMALS) == [0, 1]
    assert match_labels(["LABEL_3", "LABEL_1"], ANIMALS) == [3, 1]
    with pytest.raises(UnlearningError, match="the model lacks the labels '10', '20'"):
        match_labels(["10", "20"], ANIMALS, values=(10, 20))


def test_a_name_is_no_label_of_numbers_and_a_mapping_makes_it_one():
    names = ["0", "1"]
    with pytest.raises(
        UnlearningError, match="numbers without names: '0', '1'; expected some of these, or a label_map"
    ):
        resolve_classes(["rocket"], names, values=(0, 1))
    assert resolve_classes(["rocket"], names, values=(0, 1), other_names={"plane": 0, "rocket": 1}) == [1]


def test_integers_that_are_names_of_the_model_are_these():
    assert match_labels(["1", "3"], {0: "3", 1: "1", 2: "2"}, values=(1, 3)) == [1, 0]


def test_a_name_of_several_labels_is_refused_with_their_ids():
    with pytest.raises(UnlearningError, match=r"'crane' could be any .* 'crane' \(id 0\), 'crane' \(id 2\); .*mapping"):
        match_labels(["crane", "green"], CRANES)
    assert match_labels(["crane", "green"], CRANES, {"crane": 2}) == [2, 1]
    # In other places than the model's, the rest says nothing of which crane is which.
    with pytest.raises(UnlearningError, match="could be any"):
        match_labels(["green", "crane", "crane2", "grey"], CRANES)


def test_names_of_several_labels_are_told_apart_by_their_place(caplog):
    assert match_labels(["crane", "green", "crane2", "grey"], CRANES) == [0, 1, 2, 3]
    assert "'crane' with 'crane' (id 0), 'crane2' with 'crane' (id 2)" in caplog.text
    with pytest.raises(UnlearningError, match="'crane' could be any"):
        match_labels(["crane", "brown", "crane2", "grey"], CRANES)


def test_what_is_said_is_said_once(caplog):
    for _ in range(3):
        match_labels(["a", "b"], {0: "LABEL_0", 1: "LABEL_1"})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@given(st.permutations(range(5)), st.sets(st.integers(0, 4)), st.booleans())
def test_a_mapping_and_the_names_together(order, mapped, to_ids):
    """Whichever labels are mapped, by name or id, each dataset label goes where it belongs."""
    outputs = {
        class_id: f"model {label}" if label in mapped else f"{label} same" for class_id, label in enumerate(order)
    }
    names = [f"mine {label}" if label in mapped else f"{label} same" for label in range(5)]
    mapping = {names[label]: order.index(label) if to_ids else f"model {label}" for label in mapped}
    assert match_labels(names, outputs, mapping or None) == [order.index(label) for label in range(5)]


SOME = st.sampled_from(["cat", "Cat", "owl", "0", "1", "LABEL_0", "LABEL_1", "crane", "a_b", "a b"])


@given(
    st.lists(SOME, min_size=1, max_size=5, unique=True),
    st.lists(SOME, min_size=2, max_size=5),
    st.none()
    | st.dictionaries(SOME, SOME | st.integers(0, 5), min_size=1, max_size=3)
    | st.sampled_from(["order", "id"]),
    st.sets(st.integers(0, 4)),
)
def test_a_match_is_right_or_refused(names, labels, mapping, used):
    used = {label for label in used if label < len(names)}
    try:
        found = match_labels(names, dict(enumerate(labels)), mapping, used=used)
    except UnlearningError as error:
        assert "\n" not in str(error)
        return
    assert len(found) == len(names) and all(class_id in range(-1, len(labels)) for class_id in found)
    matched = [found[label] for label in used]
    assert -1 not in matched and len(set(matched)) == len(matched), "two labels of samples are one output"
    if isinstance(mapping, str):
        return
    for label in used:
        name = names[label]
        if name not in (mapping or {}) and str(label) not in (mapping or {}) and labels.count(name) == 1:
            assert labels[found[label]] == name, "the model has this very name"
    for name, target in (mapping or {}).items():
        if name in names and target in labels:
            assert labels[found[names.index(name)]] == target


def test_order_and_id_as_a_mapping():
    assert match_labels(["w", "x", "y", "z"], ANIMALS, "order") == [0, 1, 2, 3]
    assert match_labels(["v", "w", "x", "y", "z"], ANIMALS, "order", used=[0, 2, 3, 4]) == [0, -1, 1, 2, 3]
    assert match_labels(["20", "30"], {0: "a", 1: "b"}, "order", values=(20, 30)) == [0, 1]
    assert match_labels(["x", "y"], ANIMALS, "id") == [0, 1]
    assert match_labels(["1", "3"], ANIMALS, "id", values=(1, 3)) == [1, 3]
    with pytest.raises(UnlearningError, match="needs as many labels .* the dataset has 3, the model 4"):
        match_labels(["x", "y", "z"], ANIMALS, "order")
    with pytest.raises(UnlearningError, match="label '4' of the dataset has the id 4, the model's are 0 to 3"):
        match_labels(["1", "4"], ANIMALS, "id", values=(1, 4))


def test_ids_that_do_not_count_from_0():
    from_1 = {class_id + 1: label for class_id, label in ANIMALS.items()}
    with pytest.raises(UnlearningError, match="have the ids 1 to 4, but its outputs are 0 to 3; .* label_mapping"):
        match_labels(["owl", "cat"], from_1)
    assert match_labels(["owl", "cat"], from_1, {"owl": 0, "cat": 1}) == [0, 1]
    with pytest.raises(UnlearningError, match="have the ids 1 to 4, but its outputs are 0 to 3"):
        match_labels(["owl", "Katze"], from_1, {"owl": 0, "Katze": "cat"})
    assert match_labels(["owl", "cat", "ant", "dog"], from_1, "order") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (NAMES, ["Bag", "hat"], "lacks the labels 'T-shirt/top', 'Ankle boot'; it has: 'Bag', 'hat'; .*label_mapping"),
        (["roket", "sea"], ["rocket", "sea"], "'roket': did you mean 'rocket'.* or label_mapping 'order'"),
        (NAMES, ["LABEL_0", "LABEL_1"], "the dataset has 3 labels, the model only 2"),
        (NAMES, ["LABEL_0"], "the model has 1 label"),
        (NAMES, [], "the model has 0 label"),
        (["BAG"], ["bag", "Bag"], r"'BAG' could be any of the model's labels 'bag' \(id 0\), 'Bag' \(id 1\)"),
        (["BAG", "bag"], ["Bag", "hat"], "'BAG' and 'bag' both match the model's label 'Bag'"),
    ],
)
def test_labels_that_do_not_match(names, labels, message):
    with pytest.raises(UnlearningError, match=message):
        match_labels(names, dict(enumerate(labels)))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kat": "cat"}, "the label 'kat' is not a label of this dataset; did you mean 'Kater'"),
        ({"Kater": "kat"}, "label_mapping: 'kat' is not a label of the model; did you mean 'cat'"),
        ({"Kater": 9}, "the model has no label of the id 9; its ids are 0 to 3"),
        ({"Kater": "9"}, "the model has no label of the id 9"),
        ({"Kater": "cat", "Eule": "cat"}, "labels 'Kater' and 'Eule' both go to the model's label 'cat'"),
        ({"Kater": "cat", 0: "owl"}, "label 'Kater' of the dataset is given more than once"),
        ({"Kater": "cat"}, "the model lacks the labels 'Eule'"),
    ],
)
def test_mappings_that_do_not_fit(mapping, message):
    with pytest.raises(UnlearningError, match=message):
        match_labels(["Kater", "Eule"], ANIMALS, mapping)


def test_a_target_of_several_labels_is_chosen_by_id():
    with pytest.raises(UnlearningError, match="'crane' is the name of 2 of the model's labels, with the ids 0, 2"):
        match_labels(["bird", "green"], CRANES, {"bird": "crane"})
    assert match_labels(["bird", "green"], CRANES, {"bird": "2"}) == [2, 1]


def test_a_mapping_may_be_a_file(tmp_path):
    (tmp_path / "labels.json").write_text('{"Katze": "cat"}')
    assert match_labels(["Katze"], ANIMALS, tmp_path / "labels.json") == [1]


def test_mapped_labels_by_id_of_the_dataset():
    assert check_mapped_labels({"0": "a", 1: "b"}, ["x", "y"]) == {0: "a", 1: "b"}
    assert check_mapped_labels({"20": "a"}, ["10", "20"], (10, 20)) == {1: "a"}


def test_classes_by_name_or_id():
    assert resolve_classes(["Bag", 0, "1"], NAMES) == [0, 1, 2]
    assert resolve_classes(["1", 1], ["2", "1", "0"]) == [1]
    assert resolve_classes(["2"], ["2", "1", "0"]) == [0]
    assert resolve_classes(["tench, Tinca tinca"], ["goldfish", "tench, Tinca tinca"]) == [1]


def test_classes_by_the_names_that_a_mapping_gives_them():
    assert resolve_classes(["tench"], ["n01", "n02"], other_names={"tench": 1}) == [1]
    # The dataset's own name comes first.
    assert resolve_classes(["n01"], ["n01", "n02"], other_names={"n01": 1}) == [0]
    with pytest.raises(UnlearningError, match="'tensh' is not a label of this dataset"):
        resolve_classes(["tensh"], ["n01", "n02"], other_names={"tench": 1})


def test_integers_name_the_values_of_a_column_of_integers():
    assert resolve_classes([20, "10"], ["10", "20"], values=(10, 20)) == [0, 1]
    assert resolve_classes([1, "0"], ["False", "True"], values=(0, 1)) == [0, 1]
    with pytest.raises(UnlearningError, match="forget class 1 is not a label of this dataset: its names: '10', '20'"):
        resolve_classes([1], ["10", "20"], values=(10, 20))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("Bga", "forget class 'Bga' is not a label of this dataset; did you mean 'Bag'"),
        ("bag ", "did you mean 'Bag'"),
        ("zzz", "there are: 'T-shirt/top', 'Ankle boot', 'Bag'"),
        (3, "its ids are 0 to 2"),
        (-1, "its ids are 0 to 2"),
        ("7", "its ids are 0 to 2"),
        ("01", "'01' is not a label"),
    ],
)
def test_unknown_classes(wanted, message):
    with pytest.raises(UnlearningError, match=message):
        resolve_classes([wanted], NAMES)
