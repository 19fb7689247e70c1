"""An adapter from the Hub to the Hub: base and adapter by name in, the adapter alone out, with its card."""

from __future__ import annotations

import json

import pytest
import torch
from datasets import DatasetDict
from huggingface_hub import HfApi, ModelCard

from hf_unlearn.commands.main import main
from hf_unlearn.models.pretrained import load_image_classifier
from tests.hub.clients import add_dataset, add_model
from tests.hub.fixtures import WRITE_TOKEN
from tests.tiny import make_adapter, make_dataset, make_model, make_processor

CPU = ["--use_cpu"]
NAMES = ["one", "two", "three", "four", "five"]


@pytest.fixture
def stocked(connected_hub, tmp_path):
    """A Hub with a base of other labels, an adapter of it without an image processor of its own, and a dataset."""
    base = make_model("vit", label_names=NAMES)
    commit = add_model(connected_hub, "org/base", base, make_processor(), home=tmp_path / "a")
    make_adapter("org/base", tmp_path / "adapter")
    api = HfApi()
    api.create_repo("org/adapter")
    for name in ("adapter_config.json", "adapter_model.safetensors", "config.json"):
        api.upload_file(path_or_fileobj=tmp_path / "adapter" / name, path_in_repo=name, repo_id="org/adapter")
    data = DatasetDict({"train": make_dataset(48), "test": make_dataset(24, seed=1)})
    add_dataset(connected_hub, "org/colours", data, home=tmp_path / "c", private=True)
    connected_hub.clear()
    return {"base": commit, "adapter": connected_hub.repository("org/adapter").sha}


def unlearn(model, out, *flags):
    words = ["unlearn", "--model_name_or_path", model, "--dataset_name", "org/colours", *CPU, "--forget_classes", "red"]
    return main([*words, "--max_steps", "2", "--num_rounds", "1", "--output_dir", str(out), *flags])


def test_by_name_in_and_by_name_out(connected_hub, stocked, tmp_path, capsys):
    out = tmp_path / "forgot-red"
    push = ["--push_to_hub", "--hub_model_id", "org/forgot-red", "--push_anyway"]
    assert unlearn("org/adapter", out, *push) == 0
    assert "Verified" in capsys.readouterr().out
    repository = connected_hub.repository("org/forgot-red")
    assert set(repository.paths()) - {".gitattributes"} == {
        *("README.md", "adapter_config.json", "adapter_model.safetensors", "config.json", "preprocessor_config.json"),
        *("training_args.json", "unlearning.json"),
    }
    record = json.loads(repository.read("unlearning.json"))
    assert record["original_model"]["name"] == "org/adapter"
    assert record["original_model"]["revision"] == stocked["adapter"]
    assert record["adapter"] == {
        "type": "LoRA",
        "base_model": "org/base",
        "base_revision": stocked["base"],
        "base_from_hub": True,
    }
    card = ModelCard(repository.read("README.md").decode())
    data = card.data.to_dict()
    assert data["base_model"] == "org/base" and data["base_model_relation"] == "adapter"
    assert data["library_name"] == "peft" and data["pipeline_tag"] == "image-classification"
    assert "org/adapter" in card.text and stocked["base"] in card.text and "the base itself" in card.text
    for upload in connected_hub.uploads():
        for secret in (str(tmp_path), WRITE_TOKEN):
            assert secret.encode() not in upload.content, upload.name

    # The base is as it was, and the example of the card loads what was unlearned.
    before, after = (load_image_classifier(name) for name in ("org/adapter", str(out)))
    own = {name for name, value in after.named_parameters() if value.requires_grad}
    for name, value in after.state_dict().items():
        assert torch.equal(value, before.state_dict()[name]) != (name in own) or not value.is_floating_point(), name
    (example,) = [block.split("```")[0] for block in card.text.split("```python")[1:]]
    found: dict = {}
    exec(compile(example, "card", "exec"), found)
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found["model"](pixel_values=pixels).logits, after.eval()(pixel_values=pixels).logits)


def test_evaluated_beside_the_original_adapter(connected_hub, stocked, tmp_path, capsys):
    out = tmp_path / "forgot-red"
    assert unlearn("org/adapter", out) == 0
    words = ["evaluate", "--model", str(out), "--dataset_name", "org/colours", "--forget_classes", "red", *CPU]
    words += ["--original_model", "org/adapter", "--reference_model", "org/adapter", "--level", "standard"]
    assert main(words) == 0
    results = json.loads((out / "results.json").read_text())
    assert {"original", "unlearned", "retrained"} <= set(results["models"])


def test_an_adapter_of_a_folder_stays_at_home(connected_hub, stocked, tmp_path, capsys):
    make_model("vit").save_pretrained(tmp_path / "base")
    make_processor().save_pretrained(tmp_path / "base")
    make_adapter(str(tmp_path / "base"), tmp_path / "local")
    out = tmp_path / "out"
    assert unlearn(str(tmp_path / "local"), out) == 0
    card = (out / "README.md").read_text()
    assert "`base`, which is not on the Hub" in card and str(tmp_path) not in card and "base_model:" not in card
    capsys.readouterr()
    assert main(["push", str(out), "--hub_model_id", "org/x", "--push_anyway"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "nobody could load it; expected a base on the Hub" in line
    assert connected_hub.calls("create", "commit") == []


def test_killed_and_resumed_by_the_same_command(connected_hub, stocked, tmp_path):
    flags = ["--max_steps", "4", "--stop_rule", "steps", "--save_strategy", "steps", "--save_steps", "2"]
    assert unlearn("org/adapter", tmp_path / "whole", *flags) == 0
    assert unlearn("org/adapter", tmp_path / "part", *flags) == 0
    for path in (tmp_path / "part").iterdir():
        if path.is_file() and path.name != "unlearning_run.json":
            path.unlink()
    (tmp_path / "part" / "checkpoint-4" / "whole.json").unlink()
    assert unlearn("org/adapter", tmp_path / "part", *flags, "--resume_from_checkpoint", "true") == 0
    ours, theirs = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("part", "whole"))
    assert ours == theirs
