"""Pushes to a local Hub, through the real clients."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shutil
import time

import pytest
import torch
from transformers import AutoModelForImageClassification, pipeline

from hf_unlearn import ForgetRequest, UnlearningError
from hf_unlearn.commands.main import main
from hf_unlearn.errors import PublishingError
from hf_unlearn.models.revisions import Resolved
from hf_unlearn.publishing import patience
from hf_unlearn.publishing.destination import find_destination
from hf_unlearn.publishing.push import check_secrets, push_folder
from hf_unlearn.publishing.record import read_record, write_record
from hf_unlearn.trainers.base.publishing import ON_THE_WAY
from tests.hub import Fault
from tests.hub.fixtures import READ_TOKEN, STRANGER_TOKEN, WRITE_TOKEN
from tests.publishing.conftest import unlearn
from tests.tiny import make_dataset, make_model, make_processor

REPO = "org/forgot-red"


def push(folder, **kwargs):
    return push_folder(str(folder), find_destination(REPO), push_anyway=True, **kwargs)


@pytest.mark.parametrize(
    ("destination", "repo_id"), [(REPO, REPO), ("mine", "writer/mine"), (None, "writer/forgot-red")]
)
def test_a_name_is_enough(connected_hub, unlearned, destination, repo_id):
    commit = push_folder(unlearned, destination, push_anyway=True)
    assert connected_hub.repository(repo_id).sha == commit


def test_a_name_is_looked_at_before_any_work(connected_hub, unlearned):
    with pytest.raises(UnlearningError, match="not to 'elsewhere'"):
        push_folder(unlearned, "elsewhere/x", push_anyway=True)
    assert connected_hub.calls("create", "commit") == []


def snapshot(folder):
    """Every file's digest, but for what a push makes anew: the card, and the record, which knows where it goes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("README.md", "unlearning.json")
    }


def test_a_push_is_one_commit_and_loads_by_name(connected_hub, unlearned):
    commit = push(unlearned)
    repository = connected_hub.repository(REPO)
    assert repository.sha == commit and len(repository.history(repository.find("main"))) == 2
    assert set(repository.branches) == {"main"}
    assert set(repository.paths()) - {".gitattributes"} == {
        *("README.md", "config.json", "model.safetensors", "preprocessor_config.json"),
        "unlearning.json",
    }
    model = AutoModelForImageClassification.from_pretrained(REPO)
    local = AutoModelForImageClassification.from_pretrained(unlearned)
    for name, weight in local.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])
    assert pipeline("image-classification", model=REPO)(make_dataset(1)[0]["image"])


def test_what_is_not_a_models_stays_at_home(connected_hub, unlearned):
    for name in ("report.html", "results.json", "unlearning_run.json", "training_args.bin", "notes.txt"):
        (unlearned / name).write_text("private")
    (unlearned / "checkpoint-1").mkdir()
    (unlearned / "checkpoint-1" / "optimizer.pt").write_bytes(b"\x80\x02}q\x00.")
    push(unlearned)
    assert not {"report.html", "results.json", "notes.txt"} & set(connected_hub.repository(REPO).paths())
    assert not any("checkpoint" in name for name in connected_hub.repository(REPO).paths())


def test_pushed_again_it_replaces_its_own(connected_hub, unlearned):
    first = push(unlearned)
    record = read_record(str(unlearned))
    record["stop_reason"] = "another one"
    write_record(record, str(unlearned))
    second = push(unlearned)
    assert first != second
    there = json.loads(connected_hub.repository(REPO).read("unlearning.json", second))
    assert there["stop_reason"] == "another one"


def test_private_is_private(connected_hub, unlearned):
    push_folder(str(unlearned), find_destination(REPO, private=True), push_anyway=True)
    assert connected_hub.repository(REPO).private


PUSH_CALLS = ["info", "create", "branch", "preupload", "lfs-batch", "lfs-put", "lfs-verify", "commit", "resolve"]


@pytest.mark.parametrize("call", PUSH_CALLS)
@pytest.mark.parametrize("kind", ["500", "503", "429", "reset", "stall", "answer-lost"])
def test_one_fault_is_survived_anywhere(connected_hub, client_waits, unlearned, kind, call):
    destination = find_destination(REPO)
    fault = connected_hub.inject(Fault(kind, call=call, times=1, seconds=0.1))
    commit = push_folder(str(unlearned), destination, push_anyway=True)
    assert fault.times == 0, "the fault was not met"
    assert connected_hub.repository(REPO).sha == commit
    # A commit that was taken is not made twice.
    assert len(connected_hub.repository(REPO).history(connected_hub.repository(REPO).find("main"))) == 2


# Not lfs-verify: what was uploaded before it failed is there at the next try, and nothing is left to be verified.
@pytest.mark.parametrize("call", [call for call in PUSH_CALLS if call != "lfs-verify"])
@pytest.mark.parametrize("kind", ["500", "503", "429", "reset"])
def test_a_lasting_fault_is_a_clear_error_and_the_folder_is_whole(connected_hub, client_waits, unlearned, kind, call):
    before = snapshot(unlearned)
    destination = find_destination(REPO)
    fault = connected_hub.inject(Fault(kind, call=call, times=1000))
    with pytest.raises(PublishingError, match="(did not take the model|cannot be read back).* hf-unlearn push"):
        push_folder(str(unlearned), destination, push_anyway=True)
    assert snapshot(unlearned) == before
    repository = connected_hub.repos.get(("model", REPO))
    # There is no model without its card, and no card without its model.
    assert repository is None or not {"README.md", "model.safetensors"} & set(repository.paths())
    fault.times = 0
    commit = push(unlearned)
    assert connected_hub.repository(REPO).sha == commit


@pytest.mark.parametrize("call", ["whoami", "create", "preupload", "commit"])
def test_a_hub_that_says_nothing_is_not_waited_for_for_ever(connected_hub, client_waits, unlearned, call, monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    connected_hub.inject(Fault("stall", call=call, times=1, seconds=30))
    started = time.monotonic()
    commit = push(unlearned)
    assert time.monotonic() - started < 20 and connected_hub.repository(REPO).sha == commit


@pytest.mark.parametrize("kind", ["500", "reset", "cut"])
def test_what_cannot_be_read_back_is_not_called_verified(connected_hub, client_waits, unlearned, kind):
    destination = find_destination(REPO)
    connected_hub.inject(Fault(kind, call="resolve", times=1000))
    with pytest.raises(PublishingError, match="cannot be read back"):
        push_folder(str(unlearned), destination, push_anyway=True)
    repository = connected_hub.repository(REPO)
    assert repository.paths() == [".gitattributes"] and set(repository.branches) == {"main"}


def test_weights_that_the_record_does_not_describe_are_refused(connected_hub, unlearned):
    make_model(seed=5).save_pretrained(unlearned)
    with pytest.raises(UnlearningError, match="not those that its unlearning.json describes"):
        push(unlearned)
    assert connected_hub.calls("commit") == [] and ("model", REPO) not in connected_hub.repos


def test_a_request_that_was_not_met_asks_for_push_anyway(connected_hub, unlearned, capsys):
    record = read_record(str(unlearned))
    record["checks"]["forget_accuracy"]["after"] = 40.0
    write_record(record, str(unlearned))
    assert main(["push", str(unlearned), "--hub_model_id", REPO]) == 2
    assert "--push_anyway" in capsys.readouterr().err
    assert connected_hub.calls("commit") == []
    assert main(["push", str(unlearned), "--hub_model_id", REPO, "--push_anyway"]) == 0
    assert "was not met" in connected_hub.repository(REPO).read("README.md").decode()


def test_a_folder_without_processor_or_weights_is_refused(connected_hub, unlearned):
    (unlearned / "preprocessor_config.json").rename(unlearned / "elsewhere.json")
    with pytest.raises(UnlearningError, match="no image processor"):
        push(unlearned)
    shutil.rmtree(unlearned)
    with pytest.raises(UnlearningError, match="holds no unlearning.json"):
        push(unlearned)


def test_secrets_in_text_files_are_refused(unlearned):
    (unlearned / "config.json").write_text(json.dumps({"token": "hf_" + "a" * 34}))
    with pytest.raises(UnlearningError, match="'config.json' .* holds a secret") as error:
        check_secrets(str(unlearned), ["config.json"], [])
    assert "aaaa" not in str(error.value)


# The destination


@pytest.mark.parametrize(
    ("repo_id", "named"),
    [
        ("org/a/b", "'org/a/b' is not a repository's name"),
        ("org/two words", "is not a repository's name"),
        ("elsewhere/model", "may write to 'writer', 'org' only, not to 'elsewhere'"),
    ],
)
def test_names_that_cannot_be(connected_hub, repo_id, named):
    with pytest.raises(UnlearningError, match=named):
        find_destination(repo_id)
    assert connected_hub.calls("create") == []


def test_tokens_that_cannot_write(connected_hub, monkeypatch):
    with pytest.raises(UnlearningError, match="can only read"):
        find_destination(REPO, token=READ_TOKEN)
    with pytest.raises(UnlearningError, match="not to 'org'"):
        find_destination(REPO, token=STRANGER_TOKEN)
    with pytest.raises(UnlearningError, match="does not take this token"):
        find_destination(REPO, token="hf_" + "q" * 34)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UnlearningError, match="there is no token"):
        find_destination(REPO)


def test_a_name_alone_is_the_users_own(connected_hub):
    assert find_destination("forgot").repo_id == "writer/forgot"
    assert connected_hub.calls("create") == [], "looking is not creating"


def test_a_repository_with_something_else_is_refused(connected_hub, unlearned, tmp_path):
    make_model().push_to_hub(REPO)
    with pytest.raises(UnlearningError, match="holds something else"):
        find_destination(REPO)


def test_a_repository_that_forgot_something_else_is_refused(connected_hub, unlearned):
    commit = push(unlearned)
    assert find_destination(REPO, record={"request": {"kind": "class", "classes": ["red"]}}).head == commit
    other = {"request": {"kind": "class", "classes": ["blue"]}}
    with pytest.raises(UnlearningError, match="forgot something else .*the class 'red'"):
        find_destination(REPO, record=other)
    assert find_destination(REPO, record=other, replace=True).head == commit


def test_offline_and_unreachable(connected_hub, monkeypatch):
    connected_hub.inject(Fault("reset", call="whoami", times=100))
    with pytest.raises(PublishingError, match="cannot be reached"):
        find_destination(REPO)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnlearningError, match="HF_HUB_OFFLINE"):
        find_destination(REPO)


# The trainer


def test_a_trainer_pushes_with_its_card(connected_hub, tmp_path):
    trainer = unlearn(
        tmp_path / "forgot", ForgetRequest(classes=("red",)), push_to_hub=True, hub_model_id=REPO, push_anyway=True
    )
    assert ("model", REPO) not in connected_hub.repos, "nothing is created before there is something to push"
    info = trainer.push_to_hub()
    assert info.oid == connected_hub.repository(REPO).sha and REPO in info.commit_url
    assert "MU-Mis" in connected_hub.repository(REPO).read("README.md").decode()


def test_a_model_made_in_memory_is_of_no_hub(tmp_path, monkeypatch):
    from hf_unlearn.trainers.base import origin

    def asked(name, commit, repo_type, token):
        assert repo_type == "dataset", "the Hub was asked"
        return Resolved(None, None)

    monkeypatch.setattr(origin, "resolve_revision", asked)
    record = unlearn(tmp_path / "f", ForgetRequest(classes=("red",))).record()
    assert record["original_model"] == {"name": "resnet", "revision": None, "license": None, "from_hub": False}


def test_a_trainer_finds_out_first_that_it_may_not_push(connected_hub, tmp_path):
    with pytest.raises(UnlearningError, match="can only read"):
        unlearn(tmp_path / "x", ForgetRequest(classes=("red",)), push_to_hub=True, hub_token=READ_TOKEN)


def test_pushes_on_the_way_carry_a_card_that_says_so(connected_hub, tmp_path):
    settings = {"push_to_hub": True, "hub_model_id": REPO, "hub_strategy": "every_save", "hub_private_repo": True}
    unlearn(tmp_path / "f", ForgetRequest(classes=("red",)), save_strategy="steps", save_steps=1, **settings)
    repository = connected_hub.repository(REPO)
    card = repository.read("README.md", ON_THE_WAY).decode()
    assert "Unlearning is still going on" in card and "after step 2" in card
    assert "training_args.bin" not in repository.paths(ON_THE_WAY) and repository.private
    assert repository.paths() == [".gitattributes"], "what still remembers is not on main"


def test_pushes_on_the_way_are_private_or_asked_for(tmp_path):
    from hf_unlearn import MUMisConfig

    with pytest.raises(UnlearningError, match="still remember"):
        MUMisConfig(str(tmp_path), push_to_hub=True, hub_strategy="every_save", use_cpu=True)
    with pytest.raises(UnlearningError, match="hold pickles|holds? pickles|pickles"):
        MUMisConfig(str(tmp_path), push_to_hub=True, hub_strategy="checkpoint", use_cpu=True)


# Leaks, over all that was ever sent

REQUESTS = [
    ForgetRequest(classes=("red",)),
    ForgetRequest(indices=(5, 13, 29)),
    ForgetRequest(where={"person": ("p4",)}),
    ForgetRequest(fraction=0.2),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.kind)
def test_nothing_leaks(connected_hub, tmp_path, request_):
    settings = {"push_to_hub": True, "hub_model_id": REPO, "hub_strategy": "every_save", "hub_private_repo": True}
    trainer = unlearn(
        tmp_path / "f",
        request_,
        save_strategy="steps",
        save_steps=1,
        hub_token=WRITE_TOKEN,
        push_anyway=True,
        **settings,
    )
    trainer.push_to_hub()
    uploads = [upload for request in connected_hub.requests for upload in request.uploads()]
    assert {"README.md", "unlearning.json"} <= {upload.name for upload in uploads}
    images = [row["image"]["bytes"] for row in trainer.splits.forget.cast_column("image", no_decoding())]
    indices = trainer.splits.forget_indices.tolist()
    for upload in uploads:
        content = upload.content
        assert WRITE_TOKEN.encode() not in content and b"hub_token" not in content, upload.name
        # Pickles, bare or in torch's archive.
        assert not content.startswith((b"\x80\x02", b"\x80\x04", b"PK\x03\x04")), upload.name
        assert not any(image in content for image in images), upload.name
        if not upload.name.endswith((".json", ".md")):
            continue
        text = content.decode()
        assert str(tmp_path) not in text and not re.search(r"(?<![\w.:/])/(home|root|tmp|Users)/", text), upload.name
        assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text), upload.name
        assert "p4" not in re.findall(r"\bp\d\b", text), upload.name
        if request_.kind != "class":
            digest = hashlib.sha256(trainer.splits.forget_indices.astype("<i8").tobytes()).hexdigest()
            assert digest not in text and trainer.splits.fingerprint.id not in text, upload.name
        # A preupload holds the beginning of a file only.
        if upload.name.endswith(".json") and upload.call != "preupload":
            assert indices not in lists_in(json.loads(text)), upload.name


def no_decoding():
    from datasets import Image

    return Image(decode=False)


def lists_in(value):
    """Every list anywhere in a JSON value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, list) else []), *(each for part in parts for each in lists_in(part))]


def test_the_processor_that_came_along_is_the_one_that_is_pushed(connected_hub, unlearned):
    push(unlearned)
    there = json.loads(connected_hub.repository(REPO).read("preprocessor_config.json"))
    assert there["size"] == make_processor().to_dict()["size"]
