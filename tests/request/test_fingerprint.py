from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_unlearn.request.fingerprint import canonical_json
from hf_unlearn.request.forget_request import ForgetRequest
from hf_unlearn.request.loading import load_image_dataset
from hf_unlearn.request.source import public_dataset_name
from hf_unlearn.request.splits import make_splits


def fingerprint(dataset, name="someone/animals", **fields):
    return make_splits(dataset, ForgetRequest(**fields), dataset_name=name).fingerprint


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations([1, 4, 6, 12]))
def test_the_order_of_indices_does_not_matter(animals, order):
    assert fingerprint(animals, indices=tuple(order)).id == fingerprint(animals, indices=(1, 4, 6, 12)).id


def test_classes_by_name_or_id_in_any_order(animals):
    ids = {
        fingerprint(animals, classes=classes).id
        for classes in [("cat", "owl"), ("owl", "cat"), (2, 0), ("2", "cat"), ("cat", 0, "owl")]
    }
    assert len(ids) == 1


def test_an_index_file_is_the_same_request_as_its_list(animals, tmp_path):
    (tmp_path / "a.json").write_text("[4, 1]")
    from_file = fingerprint(animals, indices=str(tmp_path / "a.json"))
    assert from_file.id == fingerprint(animals, indices=(1, 4)).id


def test_another_request_or_dataset_has_another_id(animals):
    requests: list[dict[str, Any]] = [
        {"classes": "cat"},
        {"classes": "dog"},
        {"count": 6},
        {"count": 6, "seed": 1},
        {"count": 6, "stratify": True},
        {"indices": (1, 2)},
        {"indices": (1, 3)},
        {"where": {"owner": "40"}},
        {"where": {"owner": "41"}},
        {"subclasses": "tabby", "subclass_column": "fine"},
        {"split": "test"},
    ]
    ids = [fingerprint(animals, **fields).id for fields in requests]
    ids.append(fingerprint(animals, name="someone/else", classes="cat").id)
    other = DatasetDict({"train": animals["train"].select(range(17)), "test": animals["test"]})
    ids.append(fingerprint(other, indices=(1, 2)).id)
    assert len(set(ids)) == len(ids)


def test_parts(animals):
    made = make_splits(
        animals, ForgetRequest(indices=(7, 2)), dataset_name="someone/animals", dataset_revision="c0ffee"
    ).fingerprint
    assert made.sha256 == hashlib.sha256(struct.pack("<2q", 2, 7)).hexdigest()
    assert made.dataset_revision == "c0ffee"
    record = made.to_dict()
    assert json.loads(json.dumps(record)) == record
    claimed = record.pop("id")
    assert hashlib.sha256(canonical_json(record).encode()).hexdigest() == claimed == made.id


def test_the_id_survives_loading_again_in_any_form(animals, tmp_path):
    animals.save_to_disk(tmp_path / "animals")
    folder = tmp_path / "parquet" / "animals"
    folder.mkdir(parents=True)
    for name, part in animals.items():
        part.to_parquet(folder / f"{name}.parquet")
    loaded = [
        load_image_dataset(str(path), cache_dir=str(tmp_path / f"cache{number}"))
        for number, path in enumerate([tmp_path / "animals", tmp_path / "animals", folder, folder])
    ]
    ids = {fingerprint(dataset, name="animals", classes="owl").id for dataset in [animals, *loaded]}
    assert len(ids) == 1


def test_the_id_is_the_same_in_another_process(animals, tmp_path):
    animals.save_to_disk(tmp_path / "animals")
    code = (
        "from hf_unlearn.request import ForgetRequest, load_image_dataset, make_splits\n"
        f"dataset = load_image_dataset({str(tmp_path / 'animals')!r})\n"
        "request = ForgetRequest(count=5, stratify=True)\n"
        "splits = make_splits(dataset, request, dataset_name='someone/animals')\n"
        "print(splits.fingerprint.id)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == fingerprint(animals, count=5, stratify=True).id


@pytest.mark.parametrize(
    ("name", "public"),
    [
        (None, None),
        ("cifar10", "cifar10"),
        ("someone/animals", "someone/animals"),
        ("/home/someone/animals", "animals"),
        ("./animals/", "animals"),
        ("~/animals", "animals"),
        ("a/b/animals.parquet", "animals.parquet"),
    ],
)
def test_paths_are_not_published(name, public):
    in_memory = Dataset.from_dict({"label": [0]})
    assert public_dataset_name(name, in_memory) == public


def test_a_given_forget_set_counts_by_its_samples(animals):
    # Neither holds a row of the train split: the indices there are none in both.
    def with_split(rows):
        return DatasetDict(train=animals["train"].select(range(6)), gone=animals["train"].select(rows))

    ids = [fingerprint(with_split(rows), split="gone").id for rows in ([8, 9], [9, 8], [10, 11])]
    assert ids[0] == ids[1] != ids[2]
