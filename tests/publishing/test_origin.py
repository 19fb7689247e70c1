"""Where model and data are from is decided when they are loaded, by the Hub's own rule for names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import huggingface_hub
import peft
import pytest
from datasets import DatasetDict
from huggingface_hub import HfApi, ModelCard
from transformers import AutoModelForImageClassification

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, forget_splits, load_image_dataset, make_splits
from hf_unlearn.commands.main import main
from hf_unlearn.evaluation.loading import as_contestant
from hf_unlearn.models.adapters import base_of, save_adapter
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.names import is_hub_name, public_name
from hf_unlearn.publishing.card import render_card
from hf_unlearn.publishing.record import read_record
from tests.hub.clients import add_dataset, add_model
from tests.tiny import make_adapter, make_dataset, make_model, make_processor

CPU = ["--use_cpu"]
DATA = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})


def save(folder):
    make_model().save_pretrained(folder)
    make_processor().save_pretrained(folder)


def make_trainer(model, folder):
    args = MUMisConfig(
        str(folder), use_cpu=True, disable_tqdm=True, report_to="none", max_steps=2, num_rounds=1, stop_rule="steps"
    )
    splits = make_splits(DATA, ForgetRequest(classes=("red",)), dataset_name="someone/colours")
    return MUMisTrainer(model, args, splits, processing_class=make_processor())


@pytest.mark.parametrize("loaded", ["by the trainer", "before", "by transformers"])
def test_a_folder_that_is_gone_is_no_name_on_the_hub(tmp_path, monkeypatch, loaded):
    monkeypatch.chdir(tmp_path)
    save("secret-project/jane")
    name = "secret-project/jane"
    if loaded == "by the trainer":
        trainer = make_trainer(name, tmp_path / "out")
        shutil.rmtree(tmp_path / "secret-project")
    else:
        load = load_image_classifier if loaded == "before" else AutoModelForImageClassification.from_pretrained
        model = load(name)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        trainer = make_trainer(model, tmp_path / "out")
    trainer.train()
    trainer.save_model()
    record = read_record(str(tmp_path / "out"))
    assert record["original_model"] == {"name": "jane", "revision": None, "license": None, "from_hub": False}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "secret-project" not in card and "base_model:" not in card


@pytest.mark.parametrize("loaded", ["by the trainer", "before"])
def test_a_folder_is_the_one_that_it_was_when_it_was_named(tmp_path, monkeypatch, loaded):
    save(tmp_path / "jane")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "jane")
    model = "." if loaded == "by the trainer" else load_image_classifier(".")
    if loaded == "before":
        monkeypatch.chdir(tmp_path / "elsewhere")
        # The image processor is looked for where the model was.
        assert as_contestant(model, "x").shown == "jane"
    trainer = make_trainer(model, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert trainer.record()["original_model"]["name"] == "jane"


@pytest.mark.parametrize("here", ["before the trainer is made", "afterwards"])
def test_a_name_on_the_hub_stays_one_whatever_lies_here_later(connected_hub, tmp_path, monkeypatch, here):
    commit = add_model(connected_hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    model = load_image_classifier("org/model")
    if here == "afterwards":
        trainer = make_trainer(model, tmp_path / "out")
    (tmp_path / "org" / "model").mkdir(parents=True)
    if here != "afterwards":
        trainer = make_trainer(model, tmp_path / "out")
        assert as_contestant(model, "x", processing_class=make_processor()).shown == "org/model"
    expected = {"name": "org/model", "revision": commit, "license": None, "from_hub": True}
    assert trainer.record()["original_model"] == expected


def test_what_transformers_loaded_from_the_hub_is_the_hubs(connected_hub, tmp_path):
    add_model(connected_hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")
    trainer = make_trainer(AutoModelForImageClassification.from_pretrained("org/model"), tmp_path / "out")
    original = trainer.record()["original_model"]
    assert (original["name"], original["from_hub"]) == ("org/model", True)


def test_the_commit_that_was_loaded_is_told_not_the_one_of_today(connected_hub, tmp_path):
    commit = add_model(connected_hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")
    model = load_image_classifier("org/model")
    HfApi().upload_file(path_or_fileobj=b"later", path_in_repo="NOTES.md", repo_id="org/model")
    assert make_trainer(model, tmp_path / "out").record()["original_model"]["revision"] == commit


def test_a_contestant_keeps_the_name_that_it_was_loaded_by(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("secret-project/jane")
    by_name = as_contestant("secret-project/jane", "x")
    loaded = [
        load("secret-project/jane") for load in (load_image_classifier, AutoModelForImageClassification.from_pretrained)
    ]
    shutil.rmtree("secret-project")
    given = [as_contestant(model, "x", processing_class=make_processor()) for model in loaded]
    assert {each.shown for each in (by_name, *given)} == {"jane"}


@pytest.mark.parametrize("loaded", ["by hf_unlearn", "by peft", "new"])
def test_the_folder_of_an_adapters_base_is_no_name_on_the_hub(tmp_path, monkeypatch, loaded):
    monkeypatch.chdir(tmp_path)
    make_model("vit").save_pretrained("secret-project/jane")
    base = AutoModelForImageClassification.from_pretrained("secret-project/jane")
    model = make_adapter(base)
    if loaded != "new":
        model.save_pretrained("adapter")
        # As peft writes it where the base was loaded so.
        config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = "secret-project/jane"
        (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    if loaded == "by hf_unlearn":
        model = load_image_classifier("adapter")
    elif loaded == "by peft":
        absolute = AutoModelForImageClassification.from_pretrained(tmp_path / "secret-project" / "jane")
        model = peft.PeftModel.from_pretrained(absolute, "adapter", is_trainable=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert base_of(model) == ("jane", None, False)
    if loaded == "by hf_unlearn":
        # Whoever saves it here finds its base again.
        save_adapter(model, str(tmp_path / "saved"))
        assert weights_digest(load_image_classifier(tmp_path / "saved")) == weights_digest(model)


def test_the_base_that_an_adapter_names_is_the_hubs_though_a_copy_of_it_was_loaded(tmp_path):
    make_model("vit").save_pretrained(tmp_path / "copy")
    model = make_adapter(AutoModelForImageClassification.from_pretrained(tmp_path / "copy"))
    model.peft_config["default"].base_model_name_or_path = "org/base"
    assert base_of(model) == ("org/base", None, True)


@pytest.mark.parametrize("form", ["saved", "parquet", "file"])
@pytest.mark.parametrize("gone", ["moved on", "removed"])
def test_a_datasets_folder_that_is_gone_is_no_name_on_the_hub(tmp_path, monkeypatch, form, gone):
    monkeypatch.chdir(tmp_path)
    name = "secret-project/jane"
    if form == "saved":
        DATA.save_to_disk(name)
    else:
        name += ".parquet" if form == "file" else ""
        Path("secret-project").mkdir()
        Path(name).mkdir() if form == "parquet" else None
        DATA["train"].to_parquet(name if form == "file" else f"{name}/train.parquet")
    data = load_image_dataset(name, cache_dir=str(tmp_path / "cache"))
    before = make_splits(data, ForgetRequest(classes=("red",)), dataset_name=name).fingerprint
    if gone == "removed" and form != "saved":
        shutil.rmtree("secret-project")
    else:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
    after = make_splits(data, ForgetRequest(classes=("red",)), dataset_name=name).fingerprint
    assert after == before and after.dataset_name == Path(name).name
    samples = forget_splits(data, "subset", forget_split="train", dataset_name=name)
    assert samples.fingerprint.dataset_name is None


@pytest.mark.parametrize("offline", [False, True])
def test_the_commit_of_a_dataset_is_that_of_what_was_loaded_offline_too(connected_hub, tmp_path, monkeypatch, offline):
    commit = add_dataset(connected_hub, "org/colours", DATA, home=tmp_path / "b")
    save(tmp_path / "model")
    load_image_dataset("org/colours")
    if offline:
        for owner in (huggingface_hub.constants, datasets.config):
            monkeypatch.setattr(owner, "HF_HUB_OFFLINE", True)
    words = ["unlearn", "--model_name_or_path", str(tmp_path / "model"), "--dataset_name", "org/colours", *CPU]
    assert main([*words, "--forget_classes", "red", "--max_steps", "1", "--output_dir", str(tmp_path / "out")]) == 0
    dataset = read_record(str(tmp_path / "out"))["dataset"]
    assert (dataset["name"], dataset["revision"], dataset["from_hub"]) == ("org/colours", commit, True)
    assert f"at revision `{commit}`" in (tmp_path / "out" / "README.md").read_text()


def test_a_revision_that_is_not_known_is_said_to_be_so(tmp_path):
    trainer = make_trainer(make_model(), tmp_path / "out")
    record = trainer.record(in_progress=False)
    assert record["dataset"]["revision"] is None
    assert "`someone/colours` at a revision that is not known" in render_card(record, "org/forgot")
    record["original_model"] = {"name": "org/model", "revision": None, "license": None, "from_hub": True}
    assert "co/org/model) at a revision that is not known" in render_card(record, "org/forgot")


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        *[("cifar10", True), ("org/model", True), ("org/model.v1_2", True)],
        # What our own rule took for names, and the Hub has none of.
        *[("org/a--b", False), ("org/a..b", False), ("-org/x", False), ("org/x.", False), ("a.git", False)],
        *[("ö/x", False), ("x" * 97, False), ("a/b/c", False), ("/abs/x", False), ("./x", False)],
    ],
)
def test_names_are_judged_by_the_hubs_own_rule(name, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_name(name) is hub
    assert "/" not in public_name(name, is_hub_name(name)) or hub
    if hub:
        (tmp_path / name).mkdir(parents=True)
        assert not is_hub_name(name)


def test_a_licence_of_its_own_keeps_name_and_link(connected_hub, tmp_path):
    add_model(connected_hub, "org/model", make_model(), make_processor(), home=tmp_path / "a")
    add_dataset(connected_hub, "org/colours", DATA, home=tmp_path / "b")
    said = {"license": "other", "license_name": "our-licence", "license_link": "https://example.org/licence"}
    head = "".join(f"{key}: {value}\n" for key, value in said.items())
    HfApi().upload_file(path_or_fileobj=f"---\n{head}---\n".encode(), path_in_repo="README.md", repo_id="org/model")
    words = ["unlearn", "--model_name_or_path", "org/model", "--dataset_name", "org/colours", "--max_steps", "1"]
    words += ["--forget_classes", "red", "--output_dir", str(tmp_path / "out"), *CPU]
    assert main([*words, "--push_to_hub", "--hub_model_id", "org/forgot", "--push_anyway"]) == 0
    repository = connected_hub.repository("org/forgot")
    data = ModelCard(repository.read("README.md").decode()).data.to_dict()
    assert {key: data.get(key) for key in said} == said
    original = json.loads(repository.read("unlearning.json"))["original_model"]
    assert {key: original.get(key) for key in said} == said
