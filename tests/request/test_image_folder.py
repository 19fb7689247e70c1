"""Folders of pictures: no picture is left out because of what it, or its folder, is called."""

from __future__ import annotations

import io

import pytest
from datasets import ClassLabel
from PIL import Image as PilImage

from hf_unlearn.request.image_folder import left_out_pictures
from hf_unlearn.request.loading import load_image_dataset
from tests.request.conftest import png

PARTED = ["train/cat/a.jpg", "train/dog/test.jpg"]


@pytest.fixture
def load(tmp_path):
    """Files by name below a folder, loaded: for each split its pictures' labels, by name where there are any."""

    def loaded(*names, **others):
        folder = tmp_path / "folder"
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            PilImage.open(io.BytesIO(png(number))).convert("RGB").save(folder / name, "PNG")
        for name, text in others.items():
            (folder / name.replace("__", ".")).write_text(text)
        found = load_image_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
        splits = {}
        for split, part in found.items():
            label = part.features.get("label")
            named = isinstance(label, ClassLabel)
            splits[split] = sorted(label.names[row] for row in part["label"]) if named else len(part)
        return splits

    return loaded


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b.jpg", "speed-test-2.jpg"], {"train": 3}),
        (["train ride.jpg", "test_drive.jpg", "c.png"], {"train": 3}),
        (["cat/a.jpg", "cat/b.jpg", "bullet_train/c.jpg"], {"train": ["bullet_train", "cat", "cat"]}),
        (["plane/a.jpg", "train/b.jpg"], {"train": ["plane", "train"]}),
        (["photos/plane/a.jpg", "photos/train/b.jpg"], {"train": ["plane", "train"]}),
        (["2020/a.jpg", "2021/07/b.jpg", "test.jpg"], {"train": 3}),
        (["A.JPG", "b.Jpeg", "c.png"], {"train": 3}),
        # What is parted into splits stays so, whatever is called train or test within.
        ([*PARTED, "val/cat/train.jpg"], {"train": ["cat", "dog"], "validation": ["cat"]}),
        ([*PARTED, "val2017/bullet train/c.jpg"], {"train": ["cat", "dog"], "validation": ["bullet train"]}),
        ([f"data/{name}" for name in (*PARTED, "test/dog/b.jpg")], {"train": ["cat", "dog"], "test": ["dog"]}),
        ([*PARTED, "test/cat/b.jpg", "more/cat/c.jpg"], {"train": ["cat", "dog"], "test": ["cat"]}),
    ],
)
def test_splits_are_folders_at_the_top(load, names, expected):
    assert load(*names) == expected


def test_what_lies_beside_pictures_does_not_decide(load):
    texts = {f"a{number}__txt": "words" for number in range(3)}
    assert load("a.jpg", "b.jpg", **texts, notes__json="{}", more__csv="a,b\n1,2\n") == {"train": 2}


def test_pictures_that_are_not_loaded_are_found(load, tmp_path):
    load("a.jpg", "c.png", metadata__csv="file_name,label\na.jpg,cat\n", notes__txt="words")
    folder = tmp_path / "folder"
    (folder / "b.HEIC").write_bytes(b"no picture that Pillow reads")
    (folder / "no suffix").write_bytes(png(3))
    (folder / ".hidden.jpg").write_bytes(png(4))
    found = load_image_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert left_out_pictures(folder, found.values()) == ["b.HEIC", "c.png", "no suffix"]
    assert left_out_pictures(folder, ()) == ["a.jpg", "b.HEIC", "c.png", "no suffix"]


def test_of_data_with_images_in_it_none_is_left_out(split, tmp_path):
    split([0, 1]).to_parquet(tmp_path / "train.parquet")
    (tmp_path / "logo.png").write_bytes(png(0))
    assert left_out_pictures(tmp_path, load_image_dataset(str(tmp_path)).values()) == []


def test_a_single_picture(tmp_path):
    (tmp_path / "test [1].png").write_bytes(png(7))
    loaded = load_image_dataset(str(tmp_path / "test [1].png"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"] and loaded["train"][0]["image"].size == (4, 4)
