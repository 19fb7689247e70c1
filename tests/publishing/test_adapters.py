"""An adapter from the Hub to the Hub, through the commands: base by name, adapter in, adapter out."""

from __future__ import annotations

import copy
import getpass
import json
import re

import peft
import pytest
import torch
from datasets import DatasetDict
from huggingface_hub import HfApi, ModelCard
from transformers import AutoModelForImageClassification

from hf_unlearn.commands.main import main
from hf_unlearn.models.adapters import adapter_tensors
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from tests.hub.clients import add_dataset, add_model
from tests.hub.fixtures import WRITE_TOKEN
from tests.tiny import make_adapter, make_dataset, make_model, make_processor

CPU = ["--use_cpu"]
PUSH = ["--push_to_hub", "--hub_model_id", "org/forgot-red", "--push_anyway"]
PUSHED = {
    *("README.md", "adapter_config.json", "adapter_model.safetensors", "config.json", "preprocessor_config.json"),
    "unlearning.json",
}


@pytest.fixture
def stocked(connected_hub, tmp_path):
    """A Hub with a base of other labels, its older revision, and an adapter that brings head and labels."""
    base = make_model("vit", seed=3, label_names=["a", "b", "c", "d", "e"])
    old = add_model(connected_hub, "org/base", base, make_processor(), home=tmp_path / "a")
    adapter = make_adapter(new_head(base))
    adapter.peft_config["default"].base_model_name_or_path = "org/base"
    folder = tmp_path / "adapter"
    adapter.save_pretrained(folder)
    adapter.config.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    api = HfApi()
    api.create_repo("org/adapter")
    api.upload_folder(repo_id="org/adapter", folder_path=folder)
    data = DatasetDict({"train": make_dataset(48), "test": make_dataset(24, seed=1)})
    add_dataset(connected_hub, "org/colours", data, home=tmp_path / "b")
    connected_hub.clear()
    return {"base": old, "adapter": connected_hub.repository("org/adapter").sha, "model": adapter}


def new_head(base):
    """The base with the head of `make_model`, which the adapter replaces."""
    fresh = make_model("vit")
    state = {name: value for name, value in base.state_dict().items() if not name.startswith("classifier")}
    fresh.load_state_dict(state, strict=False)
    return fresh


def unlearn(out, *flags, model="org/adapter"):
    words = ["unlearn", "--model_name_or_path", str(model), "--dataset_name", "org/colours", *CPU]
    return main([*words, "--forget_classes", "red", "--max_steps", "2", "--output_dir", str(out), *flags])


def test_by_name_in_and_as_an_adapter_out(connected_hub, stocked, tmp_path, capsys):
    out = tmp_path / "forgot-red"
    assert unlearn(out, *PUSH) == 0
    assert "Verified" in capsys.readouterr().out
    repository = connected_hub.repository("org/forgot-red")
    assert set(repository.paths()) - {".gitattributes"} == PUSHED and len(repository.commits) == 3
    record = json.loads(repository.read("unlearning.json"))
    expected = {"name": "org/adapter", "revision": stocked["adapter"], "license": "mit", "from_hub": True}
    assert record["original_model"] == expected
    assert record["versions"]["peft"] == peft.__version__
    base = {"name": "org/base", "revision": stocked["base"], "from_hub": True}
    assert record["adapter"] == {"kind": "LORA", "base_model": base}
    config = json.loads(repository.read("adapter_config.json"))
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/base", stocked["base"])
    assert list(json.loads(repository.read("config.json"))["id2label"].values()) == ["red", "green", "blue", "grey"]

    # The adapter moved, and it comes back from the Hub as it is here.
    here, there = load_image_classifier(out), load_image_classifier("org/forgot-red")
    assert weights_digest(here) == weights_digest(there) == record["weights_sha256"]["unlearned"]
    before = adapter_tensors(stocked["model"])
    assert any(not torch.equal(tensor, before[name]) for name, tensor in adapter_tensors(there).items())

    card = ModelCard(repository.read("README.md").decode())
    data = card.data.to_dict()
    assert (data["library_name"], data["base_model"], data["base_model_relation"]) == ("peft", "org/base", "adapter")
    assert data["license"] == "mit" and "lora" in data["tags"] and data["pipeline_tag"] == "image-classification"
    assert {"forget_accuracy"} <= {each["type"] for each in data["model-index"][0]["results"][0]["metrics"]}
    for wanted in (
        "[org/adapter]",
        stocked["adapter"],
        "[org/base]",
        stocked["base"],
        "the adapter alone was unlearned",
    ):
        assert wanted in card.text
    assert "not on the Hub" not in card.text

    # The example of the card runs as it stands, and gives the model of the Hub.
    capsys.readouterr()
    (example,) = [block.split("```")[0] for block in card.text.split("```python")[1:]]
    names: dict = {}
    exec(compile(example, "card", "exec"), names)
    assert "'label': '" in capsys.readouterr().out
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(names["model"](pixels)["logits"], there(pixel_values=pixels)["logits"])


def test_evaluated_and_pushed_again(connected_hub, stocked, tmp_path):
    out = tmp_path / "forgot-red"
    assert unlearn(out, *PUSH) == 0
    words = ["evaluate", "--model", str(out), "--dataset_name", "org/colours", "--forget_classes", "red", *CPU]
    # The original is the adapter that the record names; the reference is one, too.
    reference = copy.deepcopy(stocked["model"])
    with torch.no_grad():
        reference.get_base_model().classifier.modules_to_save["default"].bias[0] -= 30.0
    reference.peft_config["default"].base_model_name_or_path = "org/base"
    reference.save_pretrained(tmp_path / "reference")
    # Its head is not the base's.
    reference.get_base_model().config.save_pretrained(tmp_path / "reference")
    assert main([*words, "--reference_model", str(tmp_path / "reference")]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["models"]["original"]["name"] == "org/adapter"
    assert results["models"]["retrained"]["forget_accuracy"] == 0.0
    assert results["models"]["unlearned"]["zrf"] is not None
    assert main(["push", str(out), "--hub_model_id", "org/forgot-red", "--push_anyway"]) == 0
    repository = connected_hub.repository("org/forgot-red")
    assert "do nothing" in repository.read("README.md").decode()
    assert set(repository.paths()) - {".gitattributes"} - PUSHED == {
        name for name in repository.paths() if name.startswith("plots/")
    }


def test_the_adapters_own_revision_of_the_base_is_kept(connected_hub, stocked, tmp_path):
    add_model(connected_hub, "org/base", make_model("vit", seed=7), home=tmp_path / "c")
    assert connected_hub.repository("org/base").sha != stocked["base"]
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "revision": stocked["base"]}))
    loaded = load_image_classifier(tmp_path / "adapter")
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(pixel_values=pixels)["logits"], stocked["model"](pixel_values=pixels)["logits"]
        )
    assert loaded.peft_config["default"].revision == stocked["base"]


def test_offline_after_it_was_seen_once(connected_hub, stocked, tmp_path, monkeypatch):
    from huggingface_hub import constants
    from transformers.utils import hub as transformers_hub

    first = weights_digest(load_image_classifier("org/adapter"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    if hasattr(transformers_hub, "is_offline_mode"):
        monkeypatch.setattr(transformers_hub, "is_offline_mode", lambda: True)
    connected_hub.clear()
    assert weights_digest(load_image_classifier("org/adapter")) == first
    assert not connected_hub.requests


def test_a_base_on_this_machine_stays_here(connected_hub, stocked, tmp_path):
    base = tmp_path / "secret-folder" / "my-base"
    make_model("vit").save_pretrained(base)
    adapter = make_adapter(AutoModelForImageClassification.from_pretrained(base))
    adapter.save_pretrained(tmp_path / "local")
    make_processor().save_pretrained(tmp_path / "local")
    out = tmp_path / "forgot-red"
    # Pushed on the way, too.
    on_the_way = ["--hub_strategy", "every_save", "--hub_private_repo", "true", "--save_strategy", "steps"]
    assert (
        unlearn(out, *PUSH, *on_the_way, "--save_steps", "1", "--hub_token", WRITE_TOKEN, model=tmp_path / "local") == 0
    )
    repository = connected_hub.repository("org/forgot-red")
    assert set(repository.paths()) - {".gitattributes"} == PUSHED
    assert json.loads(repository.read("adapter_config.json"))["base_model_name_or_path"] == "my-base"
    text = repository.read("README.md").decode()
    assert "It sits on `my-base`, which is as it was, and is not on the Hub" in text
    assert not {"base_model", "base_model_relation"} & ModelCard(text).data.to_dict().keys()
    assert ModelCard(text).data.library_name == "peft"
    uploads = [upload for request in connected_hub.requests for upload in request.uploads()]
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {upload.name for upload in uploads}
    for upload in uploads:
        for secret in (str(tmp_path), "secret-folder", WRITE_TOKEN, "hub_token"):
            assert secret.encode() not in upload.content, upload.name
        assert not upload.content.startswith((b"\x80\x02", b"\x80\x04", b"PK\x03\x04")), upload.name
        if upload.name.endswith((".json", ".md")):
            text = upload.content.decode()
            assert not re.search(r"(?<![\w.:/])/(home|root|tmp|Users)/", text), upload.name
            assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text), upload.name
    # Here it still loads; whoever has it from the Hub is told what is missing.
    assert (
        weights_digest(load_image_classifier(out))
        == json.loads((out / "unlearning.json").read_text())["weights_sha256"]["unlearned"]
    )
    assert main(["push", str(out), "--hub_model_id", "org/forgot-red", "--push_anyway"]) == 0


def refused(capsys, *words):
    capsys.readouterr()
    assert main(list(words)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_cannot_be_done_is_one_line(connected_hub, stocked, tmp_path, capsys, monkeypatch):
    words = ["--model_name_or_path", "org/adapter", "--dataset_name", "org/colours", "--output_dir"]
    retrain = ["unlearn", *words, str(tmp_path / "out"), "--forget_classes", "red", "--method", "retrain", *CPU]
    assert "method 'retrain' needs all weights" in refused(capsys, *retrain)
    train = ["train", *words, str(tmp_path / "out"), *CPU]
    assert "'org/adapter' is an adapter, and train makes whole models" in refused(capsys, *train)
    # Labels that are not the dataset's: the adapter with another head than the dataset needs.
    path = tmp_path / "adapter" / "config.json"
    config = json.loads(path.read_text())
    labels = {"0": "crimson", "1": "green", "2": "blue", "3": "grey"}
    path.write_text(
        json.dumps({**config, "id2label": labels, "label2id": {name: int(at) for at, name in labels.items()}})
    )
    local = ["unlearn", "--model_name_or_path", str(tmp_path / "adapter"), "--dataset_name", "org/colours", *CPU]
    local += ["--forget_classes", "red", "--output_dir", str(tmp_path / "out")]
    assert "the model lacks the labels 'red'" in refused(capsys, *local)
    path.unlink()
    assert "needs its config.json beside it" in refused(capsys, *local)
    base = tmp_path / "base"
    make_model("vit").save_pretrained(base)
    assert not (tmp_path / "out").exists()
    adapter = make_adapter(AutoModelForImageClassification.from_pretrained(base))
    adapter.save_pretrained(tmp_path / "local")
    make_processor().save_pretrained(tmp_path / "local")
    onto = ["unlearn", "--model_name_or_path", str(tmp_path / "local"), "--dataset_name", "org/colours", *CPU]
    onto += ["--forget_classes", "red", "--output_dir", str(base), "--overwrite_output_dir"]
    assert "is the adapter's base; expected another folder" in refused(capsys, *onto)
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    assert "pip install hf-unlearn[peft]" in refused(capsys, *local)


def test_a_trainer_of_a_model_in_memory_pushes_it(connected_hub, stocked, tmp_path):
    from hf_unlearn import MUMisConfig, MUMisTrainer

    base = AutoModelForImageClassification.from_pretrained("org/base", revision=stocked["base"])
    names = ["red", "green", "blue", "grey", "more"]
    base.config.id2label, base.config.label2id = dict(enumerate(names)), {name: at for at, name in enumerate(names)}
    model = make_adapter(base)
    assert isinstance(model, peft.PeftModel)
    args = MUMisConfig(
        str(tmp_path / "out"),
        max_steps=1,
        push_to_hub=True,
        hub_model_id="org/memory",
        push_anyway=True,
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    red = make_dataset(16).filter(lambda row: row["label"] == 0)
    trainer = MUMisTrainer(model, args, train_dataset=red, processing_class=make_processor(), forget_kind="class")
    trainer.train()
    trainer.push_to_hub()
    record = json.loads(connected_hub.repository("org/memory").read("unlearning.json"))
    assert record["original_model"]["name"] == "unnamed-adapter" and not record["original_model"]["from_hub"]
    said = record["adapter"]["base_model"]
    assert said["name"] == "org/base" and said["from_hub"]
    # Later releases of transformers do not tell which commit a model was loaded at.
    assert said["revision"] in (stocked["base"], None)


def test_a_trainer_by_name_knows_the_commits(connected_hub, stocked, tmp_path):
    from hf_unlearn import MUMisConfig, MUMisTrainer

    args = MUMisConfig(str(tmp_path / "out"), max_steps=1, use_cpu=True, dataloader_pin_memory=False)
    trainer = MUMisTrainer("org/adapter", args, train_dataset=make_dataset(8), forget_kind="class")
    expected = {"name": "org/adapter", "revision": stocked["adapter"], "license": "mit", "from_hub": True}
    assert trainer.record()["original_model"] == expected
    assert trainer.record()["adapter"]["base_model"]["revision"] == stocked["base"]
