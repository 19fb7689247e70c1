"""transformers and datasets against the local Hub, in this process and in others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
import torch
from datasets import DatasetDict, load_dataset
from huggingface_hub import HfApi, constants, hf_api
from transformers import AutoImageProcessor, AutoModelForImageClassification

from tests.hub.clients import add_dataset, add_model, environment, pointed_here
from tests.hub.fixtures import READ_TOKEN, STRANGER_TOKEN, WRITE_TOKEN
from tests.tiny import make_dataset, make_model, make_processor

ROOT = Path(__file__).resolve().parents[2]


def same_weights(one, other) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == known and torch.equal(value, same) for (name, value), (known, same) in pairs)


def test_a_model_by_revision(connected_hub, hub_home, architecture):
    older, newer = make_model(architecture, seed=0), make_model(architecture, seed=1)
    first = add_model(connected_hub, "org/model", older, home=hub_home)
    second = add_model(connected_hub, "org/model", newer, home=hub_home)
    assert first != second
    assert connected_hub.requests == []
    load = AutoModelForImageClassification.from_pretrained
    assert same_weights(load("org/model"), newer)
    assert same_weights(load("org/model", revision=first), older)
    assert not same_weights(older, newer)


def test_push_to_hub_in_the_open(connected_hub):
    model, processor = make_model(), make_processor()
    model.push_to_hub("org/model", private=True)
    processor.push_to_hub("org/model")
    assert connected_hub.calls("create", "lfs-put", "commit") == ["create", "lfs-put", "commit", "create", "commit"]
    assert connected_hub.repository("org/model").private
    assert connected_hub.repository("org/model").read("model.safetensors")
    image = make_dataset(1)[0]["image"]
    back = AutoImageProcessor.from_pretrained("org/model")
    assert torch.equal(
        back(image, return_tensors="pt").pixel_values, processor(image, return_tensors="pt").pixel_values
    )


def test_a_dataset_by_revision(connected_hub, hub_home):
    older = DatasetDict({"train": make_dataset(12), "test": make_dataset(8, seed=1)})
    newer = DatasetDict({"train": make_dataset(12, seed=2), "test": make_dataset(8, seed=3)})
    first = add_dataset(connected_hub, "org/data", older, home=hub_home)
    add_dataset(connected_hub, "org/data", newer, home=hub_home)
    for revision, wanted in ((None, newer), (first, older)):
        found = load_dataset("org/data", revision=revision)
        assert found["train"].features == wanted["train"].features
        for split in ("train", "test"):
            assert found[split]["label"][:] == wanted[split]["label"][:]
            assert [image.tobytes() for image in found[split]["image"]] == [
                image.tobytes() for image in wanted[split]["image"]
            ]


def test_configurations_of_a_dataset_and_streaming(connected_hub, hub_home):
    add_dataset(connected_hub, "org/data", make_dataset(8), "forget10", home=hub_home, split="forget")
    add_dataset(connected_hub, "org/data", make_dataset(4, seed=1), "retain90", home=hub_home, split="retain")
    assert datasets.get_dataset_config_names("org/data") == ["forget10", "retain90"]
    assert len(load_dataset("org/data", "retain90", split="retain")) == 4
    connected_hub.clear()
    rows = list(load_dataset("org/data", "forget10", split="forget", streaming=True))
    assert [row["label"] for row in rows] == make_dataset(8)["label"][:]
    assert 206 in {request.status for request in connected_hub.requests}


def test_private_ones_need_a_token(connected_hub, hub_home):
    add_model(connected_hub, "org/model", make_model(), home=hub_home, private=True)
    add_dataset(connected_hub, "org/data", make_dataset(8), home=hub_home, private=True)
    for token in (False, STRANGER_TOKEN):
        with pytest.raises(OSError, match="not a valid model identifier|Repository Not Found|not a local folder"):
            AutoModelForImageClassification.from_pretrained("org/model", token=token)
        with pytest.raises(datasets.exceptions.DatasetNotFoundError):
            load_dataset("org/data", token=token)
    assert AutoModelForImageClassification.from_pretrained("org/model", token=READ_TOKEN)
    assert load_dataset("org/data", token=READ_TOKEN, split="train").num_rows == 8


def test_the_clients_call_nothing_that_the_hub_does_not_know(connected_hub, hub_home):
    make_model().push_to_hub("org/model")
    make_dataset(8).push_to_hub("org/data")
    AutoModelForImageClassification.from_pretrained("org/model")
    load_dataset("org/data")
    assert [request.path for request in connected_hub.requests if request.kind == "unknown"] == []


def test_this_process_is_pointed_elsewhere_for_a_while_only(hub, hub_home):
    before = (constants.ENDPOINT, constants.HF_HUB_OFFLINE, hf_api.api.endpoint, datasets.config.HF_ENDPOINT)
    with pointed_here(hub, hub_home, WRITE_TOKEN):
        assert constants.ENDPOINT == hf_api.api.endpoint == datasets.config.HF_ENDPOINT == hub.endpoint
        assert HfApi().whoami()["name"] == "writer"
    assert before == (
        *(constants.ENDPOINT, constants.HF_HUB_OFFLINE),
        *(hf_api.api.endpoint, datasets.config.HF_ENDPOINT),
    )
    count = len(hub.requests)
    with pytest.raises(Exception, match="offline"):
        HfApi().whoami(token=WRITE_TOKEN)
    assert len(hub.requests) == count


def test_another_process(hub, hub_home):
    code = (
        "import json, os\n"
        "from huggingface_hub import HfApi, constants\n"
        "HfApi().create_repo('org/model')\n"
        "HfApi().upload_file(path_or_fileobj=b'x', path_in_repo='w.safetensors', repo_id='org/model')\n"
        "print(json.dumps([HfApi().whoami()['name'], constants.HF_HUB_CACHE]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=hub.env(hub_home, WRITE_TOKEN), capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == ["writer", str(hub_home / "hub")]
    assert hub.repository("org/model").read("w.safetensors") == b"x"
    assert environment(hub, hub_home).get("HF_TOKEN") is None


def test_by_hand():
    """`python -m tests.hub` prints what to set, and serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hub"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        variables = {}
        while (line := process.stdout.readline()).startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value
        assert line.startswith("#"), process.stderr.read()
        found = HfApi(endpoint=variables["HF_ENDPOINT"])
        assert found.endpoint.startswith("http://127.0.0.1:")
        code = "from huggingface_hub import whoami; print(whoami()['name'])"
        kept = {"PATH": "", "HF_HUB_DISABLE_XET": "1", **variables}
        run = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, text=True, timeout=60)
        assert run.stdout.strip() == "writer", run.stderr
    finally:
        process.terminate()
        process.communicate()
