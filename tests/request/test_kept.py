"""What lies beside a model recognises its forget set, however the request is spelt, and no other one."""

from __future__ import annotations

import pytest
from datasets import DatasetDict, load_dataset

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.publishing.commits import PUBLISHED
from hf_unlearn.request.kept import FORGET_SET_NAME, is_forget_set, keep_forget_set, read_forget_set
from tests.tiny import make_dataset

REDS = tuple(range(0, 48, 4))


@pytest.fixture(scope="module")
def data():
    return DatasetDict({"train": make_dataset(48), "test": make_dataset(24, seed=1)})


def splits_of(data, **request):
    return make_splits(data, ForgetRequest(**request), dataset_name="someone/colours")


def kept_of(splits, folder):
    keep_forget_set(splits, folder)
    return read_forget_set(folder)


@pytest.mark.parametrize(
    ("made", "asked", "same"),
    [
        ({"classes": "red"}, {"classes": 0}, True),
        ({"classes": "red"}, {"indices": REDS}, True),
        ({"indices": REDS}, {"classes": "red"}, True),
        ({"where": {"person": "p1"}}, {"indices": tuple(range(1, 48, 6))}, True),
        # As many samples, of other people.
        ({"where": {"person": "p1"}}, {"where": {"person": "p2"}}, False),
        ({"indices": (1, 2, 3)}, {"indices": (1, 2, 4)}, False),
        ({"classes": "red"}, {"classes": "blue"}, False),
        ({"count": 5, "seed": 0}, {"count": 5, "seed": 1}, False),
        ({"count": 5}, {"count": 6}, False),
    ],
)
def test_the_set_counts_not_the_words(data, tmp_path, made, asked, same):
    assert is_forget_set(splits_of(data, **asked), kept_of(splits_of(data, **made), tmp_path), {}) is same


def test_another_place_and_order_of_the_same_images(data, tmp_path):
    kept = kept_of(splits_of(data, where={"person": "p1"}), tmp_path)
    for name, part in data.items():
        part.shuffle(seed=3).to_parquet(str(tmp_path / f"{name}.parquet"))
    files = {name: str(tmp_path / f"{name}.parquet") for name in data}
    moved = load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    for person, same in (("p1", True), ("p3", False)):
        splits = make_splits(moved, ForgetRequest(where={"person": person}), dataset_name="elsewhere")
        assert is_forget_set(splits, kept, {}) is same


def test_nothing_kept_says_nothing(data, tmp_path):
    splits = splits_of(data, classes="red")
    assert is_forget_set(splits, read_forget_set(tmp_path), {}) is None
    for text in ("", "[]", "{}", "{"):
        (tmp_path / FORGET_SET_NAME).write_text(text)
        assert read_forget_set(tmp_path) == {}


def test_a_model_without_a_request_has_none(data, tmp_path):
    keep_forget_set(splits_of(data, classes="red"), tmp_path)
    keep_forget_set(None, tmp_path)
    assert read_forget_set(tmp_path) == {} and list(tmp_path.iterdir()) == []
    keep_forget_set(None, tmp_path)


def test_it_is_never_published(data, tmp_path):
    keep_forget_set(splits_of(data, where={"person": "p1"}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FORGET_SET_NAME]
    assert not PUBLISHED.fullmatch(FORGET_SET_NAME)
    # Of the person it says no more than that there is one.
    assert "p1" not in (tmp_path / FORGET_SET_NAME).read_text()


def public_record(splits, **dataset):
    """What is published of a request, as far as a forget set is recognised by it."""
    digest = {"dataset_fingerprint": splits.fingerprint.dataset_fingerprint, "sha256": splits.fingerprint.sha256}
    request = {**splits.request.public_dict(), "text": splits.request.describe()}
    return {"num_forget": len(splits.forget), "request": request, "dataset": {**digest, **dataset}}


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({"classes": "red"}, True),
        ({"indices": REDS}, True),
        ({"classes": "blue"}, False),
        ({"indices": tuple(each + 1 for each in REDS)}, False),
    ],
)
def test_a_public_record_of_classes_is_enough(data, asked, same):
    record = public_record(splits_of(data, classes="red"))
    assert is_forget_set(splits_of(data, **asked), {}, record) is same


def test_a_public_record_may_not_say_enough(data):
    hidden = public_record(splits_of(data, where={"person": "p1"}), sha256=None)
    assert is_forget_set(splits_of(data, where={"person": "p1"}), {}, hidden) is None
    assert is_forget_set(splits_of(data, where={"person": "p2"}), {}, hidden) is None
    # The number of samples is public.
    assert is_forget_set(splits_of(data, classes="red"), {}, hidden) is False
    newer = public_record(splits_of(data, classes="red"), dataset_fingerprint="0" * 64)
    assert is_forget_set(splits_of(data, classes="red"), {}, newer) is None
