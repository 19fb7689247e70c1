"""The cache of trained models gives back what its recipe says, whole, or one line of what is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from hf_unlearn import UnlearningError
from hf_unlearn.models.model_cache import ModelCache
from tests.tiny import make_model, make_processor

ROOT = Path(__file__).parents[2]
RECIPE = {"passes": 2, "left_out": [1, 2], "pretrained": None}


@pytest.fixture
def cache(tmp_path):
    return ModelCache(tmp_path / "cache")


def train(seed=0):
    torch.manual_seed(seed)
    return make_model(), make_processor(), 1.25


def same(one, other):
    weights = other.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in one.state_dict().items())


def never():
    raise AssertionError("it is there already")


def test_a_model_is_trained_once(cache):
    first = cache.model("a/b", RECIPE, train)
    assert same(first, cache.model("a/b", dict(RECIPE), never))
    assert cache.seconds("a/b") == 1.2


def test_another_recipe_is_refused_by_what_differs(cache):
    cache.model("a", RECIPE, train)
    with pytest.raises(UnlearningError, match="another recipe: passes is 2, expected 3"):
        cache.model("a", {**RECIPE, "passes": 3}, never)
    with pytest.raises(UnlearningError, match="another recipe: shift is None, expected True"):
        cache.model("a", {**RECIPE, "shift": True}, never)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_changed_or_missing_file_is_refused(cache, name):
    cache.model("a", RECIPE, train)
    path = cache.folder / "a" / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UnlearningError, match=f"{name}.* is not the file that was written"):
        cache.model("a", RECIPE, never)
    path.unlink()
    with pytest.raises(UnlearningError, match="is not the file that was written"):
        cache.model("a", RECIPE, never)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"recipe": 1, "files": 2, "seconds": 3}'])
def test_a_broken_manifest_is_refused(cache, content):
    cache.model("a", RECIPE, train)
    (cache.folder / "a" / "manifest.json").write_text(content)
    with pytest.raises(UnlearningError, match="is no manifest of a trained model"):
        cache.model("a", RECIPE, never)


def test_a_full_disk_leaves_nothing_that_is_taken_for_whole(cache, monkeypatch):
    def full(self, folder, **kwargs):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(UnlearningError, match="cannot keep a trained model.*No space left"):
        cache.model("a", RECIPE, train)
    assert [path.name for path in cache.folder.iterdir()] == ["a.lock"]
    monkeypatch.undo()
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        assert cache.model("a", RECIPE, train) is not None
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def test_the_cache_can_be_carried(cache, tmp_path):
    first = cache.model("a/b", RECIPE, train)
    shutil.copytree(cache.folder, tmp_path / "elsewhere")
    carried = type(cache)(tmp_path / "elsewhere")
    assert same(first, carried.model("a/b", RECIPE, never))
    names = {path.name for path in (tmp_path / "elsewhere" / "a" / "b").iterdir()}
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}
    manifest = json.loads((tmp_path / "elsewhere" / "a" / "b" / "manifest.json").read_text())
    assert {"model.safetensors", "config.json"} <= set(manifest["files"])
