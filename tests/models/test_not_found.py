"""Models that are not there, not open, or not of a known type: each in one line that says what to do."""

from __future__ import annotations

import builtins
import json
import threading

import pytest
import torch
import transformers.modeling_utils
from huggingface_hub import HfApi

from hf_unlearn import UnlearningError, load_image_classifier, load_image_processor
from hf_unlearn.commands.main import main
from tests.hub import routes
from tests.hub.answers import Refusal
from tests.hub.clients import add_model
from tests.own_code import save_own_model
from tests.tiny import make_model, make_processor


@pytest.fixture
def in_a_folder(connected_hub, tmp_path):
    """A repository whose model lies in a folder."""
    make_model().save_pretrained(tmp_path / "model")
    HfApi().create_repo("org/nested")
    HfApi().upload_folder(repo_id="org/nested", folder_path=tmp_path / "model", path_in_repo="v1")


@pytest.mark.parametrize("name", ["org/nested", "org/nested/v1"])
def test_a_model_in_a_sub_folder_is_found_by_a_copy(in_a_folder, name):
    with pytest.raises(UnlearningError, match="hf download org/nested --include 'v1/\\*' --local-dir copy"):
        load_image_classifier(name)


def test_a_gated_model_says_so(connected_hub, tmp_path, monkeypatch):
    add_model(connected_hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")

    def gated(state, call):
        raise Refusal(403, "Access to model org/model is restricted", "GatedRepo")

    asked = [(*each[:3], gated if each[2] == "resolve" else each[3]) for each in routes._ROUTES]
    monkeypatch.setattr(routes, "_ROUTES", asked)
    for load in (load_image_classifier, load_image_processor):
        with pytest.raises(UnlearningError, match="'org/model' is gated: ask for access on its page .*org/model"):
            load("org/model")


def test_a_type_that_nobody_knows_is_named(tmp_path):
    make_model().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "mynet"}))
    with pytest.raises(UnlearningError, match="model_type 'mynet' .* does not know, and no code of its own"):
        load_image_classifier(tmp_path)


# Consent


def test_nothing_ever_asks_whether_to_run_code(tmp_path, monkeypatch):
    def ask(*args):
        raise AssertionError("it was asked for")

    monkeypatch.setattr(builtins, "input", ask)
    folder = save_own_model(tmp_path / "own")
    for load in (load_image_classifier, load_image_processor):
        with pytest.raises(UnlearningError, match="comes with code of its own.*--trust_remote_code"):
            load(folder)
    assert type(load_image_processor(folder, trust_remote_code=True)).__name__ == "OwnImageProcessor"


@pytest.fixture
def pickled(connected_hub, tmp_path):
    """A repository with pickled weights alone."""
    model = make_model()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    model.config.save_pretrained(tmp_path)
    HfApi().create_repo("org/pickled", private=True)
    for name in ("pytorch_model.bin", "config.json"):
        HfApi().upload_file(path_or_fileobj=tmp_path / name, path_in_repo=name, repo_id="org/pickled")


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_no_service_is_told_of_a_model_or_a_token(connected_hub, pickled, monkeypatch, allow_pickle):
    told = []
    # As in the hands of a user, who has neither set.
    for name in ("CI", "PYTEST_CURRENT_TEST", "DISABLE_SAFETENSORS_CONVERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transformers.modeling_utils, "auto_conversion", lambda *args, **kwargs: told.append(args))
    before = set(threading.enumerate())
    try:
        load_image_classifier("org/pickled", token="hf_" + "w" * 34, allow_pickle=allow_pickle)
    except UnlearningError as error:
        assert not allow_pickle and "--allow_pickle takes them" in str(error)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert told == []


class Evil:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return (print, ("it ran",))


@pytest.mark.parametrize("content", ["nothing", "text", "a torn archive", "code"])
def test_a_broken_pickle_is_one_line(tmp_path, saved_dataset, capsys, content):
    make_model().config.save_pretrained(tmp_path / "model")
    make_processor().save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "pytorch_model.bin"
    if content == "code":
        torch.save({"weight": Evil()}, path)
    else:
        path.write_bytes({"nothing": b"", "text": b"hello", "a torn archive": b"PK\x03\x04hello"}[content])
    words = ["unlearn", "--model_name_or_path", str(tmp_path / "model"), "--dataset_name", saved_dataset, "--use_cpu"]
    words += ["--forget_classes", "red", "--output_dir", str(tmp_path / "out"), "--allow_pickle"]
    assert main(words) == 2
    said = capsys.readouterr()
    (line,) = said.err.strip().splitlines()
    assert "could not be loaded" in line and "weights_only" not in line and "it ran" not in said.out
    assert not (tmp_path / "out").exists()
