"""Kept logits: found again only by the same model on the same images, and computed again when damaged."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, concatenate_datasets
from hypothesis import given
from hypothesis import strategies as st
from transformers import ViTImageProcessorPil

import hf_unlearn
from hf_unlearn import ForgetRequest, UnlearningError, make_splits
from hf_unlearn.evaluation import cache
from hf_unlearn.evaluation.cache import LogitFile, images_key, model_key
from hf_unlearn.evaluation.contest import compare_models
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.models.from_scratch import new_image_classifier
from tests.tiny import LABELS, make_dataset, make_model, make_processor

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16, "image_size": 16, "patch_size": 8}


@pytest.fixture(scope="module")
def splits():
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    return make_splits(data, ForgetRequest(classes=("red",)))


def compared(model, splits, folder=None, processor=None):
    contestant = Contestant("m", model, processor or make_processor())
    return compare_models({"unlearned": contestant}, splits, cache_dir=folder)


def test_equal_weights_are_not_yet_the_same_model(splits, tmp_path):
    one, other = (new_image_classifier("vit", LABELS, {**SMALL, "num_attention_heads": heads}) for heads in (1, 4))
    # So that the attention matters.
    torch.nn.init.normal_(one.classifier.weight, std=1.0)
    for name, weight in one.named_parameters():
        if "attention" in name and weight.ndim > 1:
            torch.nn.init.normal_(weight, std=1.0)
    other.load_state_dict(one.state_dict())
    alone = compared(other, splits)["models"]
    first = compared(one, splits, tmp_path)["models"]
    assert compared(other, splits, tmp_path)["models"] == alone != first


def variants():
    """What makes other logits, with all else equal: model and processor."""
    model = make_model()
    renamed = make_model()
    renamed.config.id2label = {**model.config.id2label, 0: "green", 1: "red"}
    renamed.config.label2id = {name: number for number, name in renamed.config.id2label.items()}
    bright = ViTImageProcessorPil(do_resize=True, size={"height": 16, "width": 16}, do_normalize=False)
    return [
        (model, make_processor()),
        (make_model(seed=1), make_processor()),
        (make_model().to(torch.bfloat16), make_processor()),
        (renamed, make_processor()),
        (model, bright),
    ]


def test_each_thing_that_logits_depend_on_is_in_the_key(monkeypatch):
    keys = [repr(model_key(Contestant("m", *each))) for each in variants()]
    assert len(set(keys)) == len(keys)
    assert repr(model_key(Contestant("elsewhere", *variants()[0]))) == keys[0]
    named = make_model()
    named.config._name_or_path = "somewhere/else"
    assert repr(model_key(Contestant("m", named, make_processor()))) == keys[0]
    monkeypatch.setattr(cache, "_version", lambda library: "0" if library == "pillow" else None)
    versions = repr(model_key(Contestant("m", *variants()[0])))
    monkeypatch.setattr(hf_unlearn, "__version__", "0.0.0")
    assert len({*keys, versions, repr(model_key(Contestant("m", *variants()[0])))}) == len(keys) + 2


def test_precision_of_a_gpu_is_in_the_name(monkeypatch):
    names = []
    for precision in ("highest", "high"):
        monkeypatch.setattr(cache, "_precision", lambda precision=precision: [precision])
        names.append([cache.file_name("key", device=device, batch_size=2) for device in ("cpu", "cuda")])
    assert names[0][0] == names[1][0] and len({*names[0], *names[1]}) == 3
    assert cache.file_name("key", device="cpu", batch_size=3) not in names[0]


def test_precision_follows_torch():
    before = torch.get_float32_matmul_precision()
    try:
        found = []
        for precision in ("highest", "high"):
            torch.set_float32_matmul_precision(precision)
            found.append(cache._precision())
    finally:
        torch.set_float32_matmul_precision(before)
    assert found[0] != found[1]


def test_code_of_ones_own_is_in_the_key(tmp_path, monkeypatch):
    def own(body):
        """A class as of remote code: of the same name wherever it comes from."""
        path = tmp_path / body / "own.py"
        path.parent.mkdir()
        path.write_text(f"class Own:\n    {body}\n")
        spec = importlib.util.spec_from_file_location("own", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "own", module)
        spec.loader.exec_module(module)
        return cache._code(module.Own)

    assert own("half = 1") != own("half = 2")
    assert cache._code(type(make_model())) == [
        "transformers.models.resnet.modeling_resnet",
        "ResNetForImageClassification",
    ]


def test_the_images_and_which_of_them_are_in_the_key():
    def pair():
        other = make_dataset(8, seed=1).select_columns(["image"]).rename_column("image", "other")
        return concatenate_datasets([make_dataset(8), other], axis=1)

    assert images_key(pair(), "image") == images_key(pair(), "image") != images_key(pair(), "other")
    assert images_key(pair(), "image") != images_key(pair().select([0, 1]), "image")


def test_a_file_that_changed_under_its_name_is_another_image(tmp_path):
    for number, image in enumerate(make_dataset(4)["image"]):
        image.save(tmp_path / f"{number}.png")
    rows = {"image": [str(tmp_path / f"{number}.png") for number in range(4)], "label": [0, 1, 2, 3]}
    features = Features({"image": Image(), "label": ClassLabel(names=LABELS)})
    keys = [images_key(Dataset.from_dict(rows, features=features), "image") for _ in range(2)]
    assert keys[0] == keys[1]
    time.sleep(0.01)
    make_dataset(4)["image"][1].save(tmp_path / "0.png")
    assert images_key(Dataset.from_dict(rows, features=features), "image") != keys[0]
    (tmp_path / "0.png").unlink()
    assert images_key(Dataset.from_dict(rows, features=features), "image") != keys[0]


def nan(content):
    logits = np.frombuffer(content[128:-4], np.float32).copy()
    logits[3] = np.nan
    return content[:128] + logits.tobytes() + content[-4:]


DAMAGES = {
    "cut off": lambda content: content[:-40],
    "cut off in the header": lambda content: content[:20],
    "empty": lambda content: b"",
    "text": lambda content: b"not at all what it should be\n" * 9,
    "a pickle": lambda content: b"\x80\x04N.",
    "an archive": lambda content: b"PK\x03\x04" + content,
    "zeros": lambda content: bytes(len(content)),
    "zeros after the header": lambda content: content[:128] + bytes(len(content) - 128),
    "not a number": nan,
    "one bit": lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    "more": lambda content: content + b"more",
    "another shape": lambda content: content.replace(b"(8, 4)", b"(4, 8)").replace(b"(24, 4)", b"(48, 2)"),
    "another type": lambda content: content.replace(b"<f4", b"<i4"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_computed_again(splits, tmp_path, damage):
    before = compared(make_model(), splits, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 3
    for path, content in files.items():
        path.write_bytes(damage(content))
        assert path.read_bytes() != content or b"16, 4" in content
    assert compared(make_model(), splits, tmp_path) == before
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
def test_no_changed_byte_of_a_file_goes_unseen(tmp_path_factory, place, value):
    folder = tmp_path_factory.mktemp("file")
    file = filled(folder / "l.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    content = bytearray(file.path.read_bytes())
    content[place % len(content)] ^= value
    file.path.write_bytes(bytes(content))
    # The header's padding is nobody's.
    assert not file.is_whole() or np.array_equal(file.read(), np.arange(12).reshape(4, 3))


def filled(path, logits):
    file = LogitFile(path, logits.shape)
    file.begin()
    for row in range(len(logits)):
        file.write(row, logits[row : row + 1])
    assert not file.is_whole() and file.finish() is None
    return file


def test_what_is_not_finite_gets_no_name(tmp_path):
    file = LogitFile(tmp_path / "l.npy", (1, 2))
    file.begin()
    file.write(0, np.array([[1.0, np.inf]]))
    assert file.finish() == "are not finite"
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "open", full, raising=False)
    with pytest.raises(UnlearningError, match=re.escape(f"cache_dir {str(tmp_path)!r} cannot be written: No space")):
        compared(make_model(), splits, tmp_path)
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def full(path, mode):
    """A file on a disk without room."""

    def write(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open(path, mode) as file:
        yield SimpleNamespace(seek=file.seek, write=write)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_one_line(splits, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnlearningError, match="cache_dir .* cannot be written"):
        compared(make_model(), splits, tmp_path / name)


def test_nothing_is_left_where_no_folder_was_named(splits, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    compared(make_model(), splits)
    broken = make_model()
    broken.classifier[1].bias.data[0] = float("nan")
    with pytest.raises(UnlearningError, match="not finite"):
        compared(broken, splits)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("hf-unlearn")] == []
