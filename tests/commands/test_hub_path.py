"""From the Hub to the Hub, through the commands: model and dataset by name, out with a card, loaded by name."""

from __future__ import annotations

import json

import pytest
from datasets import DatasetDict
from huggingface_hub import HfApi, ModelCard

from hf_unlearn.commands.main import main
from tests.hub.clients import add_dataset, add_model
from tests.hub.fixtures import READ_TOKEN, WRITE_TOKEN
from tests.tiny import make_dataset, make_model, make_processor, make_reference

CPU = ["--use_cpu"]


@pytest.fixture
def stocked(connected_hub, tmp_path):
    """A Hub with a model that has an older revision, and a private dataset; and the two commits."""
    old = add_model(connected_hub, "org/model", make_model(seed=3), make_processor(), home=tmp_path / "a")
    new = add_model(connected_hub, "org/model", make_model(seed=0), home=tmp_path / "b")
    card = b"---\nlicense: mit\n---\n# a model\n"
    HfApi().upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="org/model")
    new = connected_hub.repository("org/model").sha
    data = DatasetDict({"train": make_dataset(48), "test": make_dataset(24, seed=1)})
    dataset = add_dataset(connected_hub, "org/colours", data, home=tmp_path / "c", private=True)
    connected_hub.clear()
    return {"old": old, "new": new, "dataset": dataset}


def unlearn(out, *flags):
    words = ["unlearn", "--model_name_or_path", "org/model", "--dataset_name", "org/colours", *CPU]
    return main([*words, "--forget_classes", "red", "--output_dir", str(out), *flags])


def test_by_name_in_and_by_name_out(connected_hub, stocked, tmp_path, capsys):
    out = tmp_path / "forgot-red"
    push = ["--push_to_hub", "--hub_model_id", "org/forgot-red", "--push_anyway", "--publish_private_sources"]
    assert unlearn(out, *push) == 0
    printed = capsys.readouterr().out
    repository = connected_hub.repository("org/forgot-red")
    assert f"org/forgot-red at {repository.sha}" in printed and "Verified" in printed

    record = json.loads(repository.read("unlearning.json"))
    assert record["original_model"] == {
        "name": "org/model",
        "revision": stocked["new"],
        "license": "mit",
        "from_hub": True,
    }
    assert (record["dataset"]["name"], record["dataset"]["revision"]) == ("org/colours", stocked["dataset"])

    evaluate = ["evaluate", "--model", str(out), "--dataset_name", "org/colours", "--forget_classes", "red", *CPU]
    make_reference().save_pretrained(tmp_path / "reference")
    make_processor().save_pretrained(tmp_path / "reference")
    references = ["--reference_model", str(tmp_path / "reference")]
    assert main([*evaluate, "--original_model", "org/model", *references]) == 0
    assert main(["push", str(out), "--hub_model_id", "org/forgot-red", "--push_anyway"]) == 0
    card = ModelCard(connected_hub.repository("org/forgot-red").read("README.md").decode())
    data = card.data.to_dict()
    assert data["base_model"] == "org/model" and data["base_model_relation"] == "finetune"
    assert data["license"] == "mit" and data["datasets"] == ["org/colours"]
    assert {"machine-unlearning", "unlearning", "mu-mis", "hf_unlearn"} <= set(data["tags"])
    assert data["library_name"] == "transformers" and data["pipeline_tag"] == "image-classification"
    (result,) = data["model-index"]
    measured = {metric["type"] for metric in result["results"][0]["metrics"]}
    assert {"forget_accuracy", "test_accuracy_remaining", "average_gap"} <= measured
    for wanted in (stocked["new"], stocked["dataset"], "do nothing", "plots/per_class_accuracy.png", "2402.15109"):
        assert wanted in card.text
    assert "plots/confusion.png" in connected_hub.repository("org/forgot-red").paths()

    # With the evaluation in it, too, nothing leaves but what belongs there.
    for upload in connected_hub.uploads():
        for secret in (str(tmp_path), WRITE_TOKEN, "data:image"):
            assert secret.encode() not in upload.content, upload.name

    # The example of the card runs as it stands.
    (example,) = [block.split("```")[0] for block in card.text.split("```python")[1:]]
    exec(compile(example, "card", "exec"), {})
    assert "label" in capsys.readouterr().out


def test_the_revision_that_was_asked_for_is_the_one_that_is_used(connected_hub, stocked, tmp_path):
    from hf_unlearn.models.weights import weights_digest

    assert unlearn(tmp_path / "out", "--model_revision", stocked["old"], "--max_steps", "1") == 0
    record = json.loads((tmp_path / "out" / "unlearning.json").read_text())
    assert record["original_model"]["revision"] == stocked["old"]
    assert record["weights_sha256"]["original"] == weights_digest(make_model(seed=3))


def refused(capsys, status, *words):
    capsys.readouterr()
    assert main(list(words)) == status
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--hub_token", READ_TOKEN], "can only read"),
        (["--hub_model_id", "elsewhere/x"], "not to 'elsewhere'"),
        (["--hub_model_id", "org/two words"], "not a repository's name"),
        (["--hub_model_id", "org/model", "--publish_private_sources"], "holds something else"),
        (["--model_revision", "nosuch"], "has no revision 'nosuch'"),
        (["--dataset_revision", "nosuch"], "has no revision 'nosuch'"),
    ],
)
def test_what_cannot_be_published_is_said_before_any_work(connected_hub, stocked, tmp_path, capsys, flags, named):
    out = tmp_path / "out"
    words = ["unlearn", "--model_name_or_path", "org/model", "--dataset_name", "org/colours", *CPU]
    words += ["--forget_classes", "red", "--output_dir", str(out), "--push_to_hub", *flags]
    words += [] if "--hub_model_id" in flags else ["--hub_model_id", "org/x"]
    assert named in refused(capsys, 2, *words)
    assert not out.exists() and connected_hub.calls("create", "commit") == []
    # No weights were fetched either.
    assert not any("safetensors" in request.path for request in connected_hub.requests)


def test_without_a_token(connected_hub, stocked, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    words = ["unlearn", "--model_name_or_path", "org/model", "--dataset_name", "org/colours", *CPU]
    words += ["--forget_classes", "red", "--output_dir", str(tmp_path / "out")]
    assert "there is no token" in refused(capsys, 2, *words, "--push_to_hub")
    assert "'org/colours'" in refused(capsys, 2, *words), "the dataset is private"


def test_pickled_weights_are_taken_only_when_asked_for(connected_hub, stocked, tmp_path, capsys):
    import torch

    model = make_model()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    model.config.save_pretrained(tmp_path)
    make_processor().save_pretrained(tmp_path)
    api = HfApi()
    api.create_repo("org/pickled")
    for name in ("pytorch_model.bin", "config.json", "preprocessor_config.json"):
        api.upload_file(path_or_fileobj=tmp_path / name, path_in_repo=name, repo_id="org/pickled")
    words = ["unlearn", "--model_name_or_path", "org/pickled", "--dataset_name", "org/colours", *CPU]
    words += ["--forget_classes", "red", "--max_steps", "1", "--output_dir", str(tmp_path / "out")]
    assert "--allow_pickle" in refused(capsys, 2, *words)
    assert main([*words, "--allow_pickle"]) == 0


def test_a_model_without_processor(connected_hub, tmp_path, stocked, capsys):
    add_model(connected_hub, "org/bare", make_model(), home=tmp_path / "d")
    words = ["unlearn", "--model_name_or_path", "org/bare", "--dataset_name", "org/colours", *CPU]
    assert "no usable image processor" in refused(
        capsys, 2, *words, "--forget_classes", "red", "--output_dir", str(tmp_path / "out")
    )


def test_card_and_push_of_what_is_no_unlearned_model(connected_hub, tmp_path, capsys):
    assert "does not exist" in refused(capsys, 2, "push", str(tmp_path / "nowhere"))
    assert "holds no unlearning.json" in refused(capsys, 2, "push", str(tmp_path))
    assert "holds no unlearning.json" in refused(capsys, 2, "card", str(tmp_path))
    (tmp_path / "unlearning.json").write_text('{"schema_version": 99}')
    assert "schema version 99" in refused(capsys, 2, "card", str(tmp_path))
    (tmp_path / "unlearning.json").write_text("{")
    assert "is not JSON" in refused(capsys, 2, "card", str(tmp_path))
    assert connected_hub.calls("create", "commit") == []


def test_a_trainer_given_a_name_records_its_commit(connected_hub, stocked, tmp_path):
    from hf_unlearn import MUMisConfig, MUMisTrainer

    args = MUMisConfig(output_dir=str(tmp_path / "out"), max_steps=1, use_cpu=True, disable_tqdm=True)
    trainer = MUMisTrainer("org/model", args, train_dataset=make_dataset(8), forget_kind="class")
    assert trainer.record()["original_model"] == {
        "name": "org/model",
        "revision": stocked["new"],
        "license": "mit",
        "from_hub": True,
    }
