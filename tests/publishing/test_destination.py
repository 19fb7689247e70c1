"""What a push finds at its destination, and what it does to it: who may see it, whose it is, what moved meanwhile."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi

from hf_unlearn import ForgetRequest, UnlearningError
from hf_unlearn.commands.main import main
from hf_unlearn.errors import DivergenceError, PublishingError
from hf_unlearn.publishing import commits
from hf_unlearn.publishing.destination import difference, find_destination
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.publishing.record import read_record, write_record
from hf_unlearn.publishing.seal import is_sealed, sealed
from hf_unlearn.trainers.base.publishing import ON_THE_WAY
from tests.hub import Fault
from tests.hub.answers import Refusal
from tests.hub.state import State
from tests.publishing.conftest import unlearn
from tests.tiny import make_model

REPO = "org/forgot-red"
RED = ForgetRequest(classes=("red",))


def push(folder, **kwargs):
    return push_folder(str(folder), REPO, push_anyway=True, **kwargs)


def titles(repository, branch="main"):
    return [commit.title for commit in repository.history(repository.find(branch))]


# Who may see it


def test_a_public_repository_gets_nothing_that_should_be_private(connected_hub, unlearned, capsys, tmp_path):
    HfApi().create_repo(REPO)
    words = ["push", str(unlearned), "--hub_model_id", REPO, "--push_anyway", "--hub_private_repo", "true"]
    assert main(words) == 2
    assert "is public on the Hub, but hub_private_repo is True" in capsys.readouterr().err
    settings = {"push_to_hub": True, "hub_model_id": REPO, "hub_strategy": "every_save", "hub_private_repo": True}
    with pytest.raises(UnlearningError, match="is public on the Hub"):
        unlearn(tmp_path / "f", RED, **settings)
    assert connected_hub.calls("commit", "lfs-put") == []
    connected_hub.repository(REPO).private = True
    assert main(words) == 0


def test_a_private_repository_is_not_what_was_asked_for_either(connected_hub, unlearned):
    HfApi().create_repo(REPO, private=True)
    with pytest.raises(UnlearningError, match="is private on the Hub, but hub_private_repo is False"):
        push(unlearned, private=False)
    push(unlearned)
    assert connected_hub.repository(REPO).private


@pytest.mark.parametrize("moment", ["before", "while the files go up"])
def test_what_becomes_public_meanwhile_gets_nothing_on_main(connected_hub, unlearned, monkeypatch, moment):
    HfApi().create_repo(REPO, private=True)
    destination = find_destination(REPO, private=True)
    repository = connected_hub.repository(REPO)
    if moment == "before":
        repository.private = False
    else:
        real = commits._make_branch

        def make_branch(*args, **kwargs):
            real(*args, **kwargs)
            repository.private = False

        monkeypatch.setattr(commits, "_make_branch", make_branch)
    with pytest.raises(UnlearningError, match="is public on the Hub"):
        push_folder(str(unlearned), destination, push_anyway=True)
    assert repository.paths() == [".gitattributes"] and set(repository.branches) == {"main"}


@pytest.mark.parametrize(
    ("asked", "default", "becomes"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_three_states_stay_three(connected_hub, unlearned, asked, default, becomes):
    if default:
        connected_hub.state.private_by_default.add("org")
    push(unlearned, private=asked)
    assert connected_hub.repository(REPO).private is becomes


def test_a_new_repository_that_is_not_private_as_asked_for_stays_empty(connected_hub, unlearned, monkeypatch):
    monkeypatch.setattr(HfApi, "create_repo", _always_public(HfApi.create_repo))
    with pytest.raises(UnlearningError, match="is public on the Hub"):
        push(unlearned, private=True)
    assert connected_hub.repository(REPO).paths() == [".gitattributes"]


def _always_public(real):
    return lambda self, repo_id, **kwargs: real(self, repo_id, **{**kwargs, "private": False})


# To which branch


def test_a_revision_is_a_branch(connected_hub, unlearned, tmp_path, capsys):
    first = push(unlearned, revision="v2")
    repository = connected_hub.repository(REPO)
    assert repository.branches["v2"] == first and repository.paths() == [".gitattributes"]
    assert set(repository.branches) == {"main", "v2"}
    record = read_record(str(unlearned))
    write_record({**record, "stop_reason": "another"}, str(unlearned))
    words = ["push", str(unlearned), "--hub_model_id", REPO, "--push_anyway"]
    assert main([*words, "--hub_revision", "v2"]) == 0
    assert repository.branches["v2"] != first and repository.paths() == [".gitattributes"]
    assert main(words) == 0 and "README.md" in repository.paths()


def test_a_trainers_revision_is_a_branch(connected_hub, tmp_path):
    settings = {"push_to_hub": True, "hub_model_id": REPO, "push_anyway": True}
    trainer = unlearn(tmp_path / "f", RED, hub_revision="v3", **settings)
    info = trainer.push_to_hub()
    repository = connected_hub.repository(REPO)
    assert repository.branches["v3"] == info.oid and repository.paths() == [".gitattributes"]
    info = trainer.push_to_hub(revision="v4")
    assert repository.branches["v4"] == info.oid and repository.paths() == [".gitattributes"]


# On the way


def on_the_way(folder, **settings):
    where = {"push_to_hub": True, "hub_model_id": REPO, "hub_strategy": "every_save", "hub_private_repo": True}
    return unlearn(folder, RED, save_strategy="steps", save_steps=1, **where, **settings)


def test_main_gets_the_finished_model_alone(connected_hub, tmp_path):
    trainer = on_the_way(tmp_path / "f", push_anyway=True)
    repository = connected_hub.repository(REPO)
    assert titles(repository, ON_THE_WAY) == ["Unlearning, step 2", "Unlearning, step 1", "initial commit"]
    trainer.push_to_hub()
    assert titles(repository) == ["Unlearned model", "initial commit"] and set(repository.branches) == {"main"}


def test_what_was_not_met_does_not_reach_main(connected_hub, tmp_path):
    with pytest.raises(UnlearningError, match="the request was not met"):
        _with_forget_accuracy(on_the_way(tmp_path / "f"), 40.0).push_to_hub()
    repository = connected_hub.repository(REPO)
    assert repository.paths() == [".gitattributes"] and set(repository.branches) == {"main", ON_THE_WAY}


def _with_forget_accuracy(trainer, percent):
    trainer.checks = lambda: {"samples": 1, "forget_accuracy": {"before": 100.0, "after": percent}}
    return trainer


def test_a_push_on_the_way_that_fails_is_a_warning(connected_hub, client_waits, tmp_path, caplog):
    fault = connected_hub.inject(Fault("500", call="commit", times=1000))
    trainer = on_the_way(tmp_path / "f", push_anyway=True)
    warned = [each for each in caplog.messages if "was not pushed, and the run goes on" in each]
    assert len(warned) == 2 and not any("whole in" in each for each in warned)
    with pytest.raises(PublishingError, match="did not take the model"):
        trainer.push_to_hub()
    fault.times = 0
    assert trainer.push_to_hub().oid == connected_hub.repository(REPO).sha


def test_a_run_that_fails_leaves_the_good_model_that_was_there(connected_hub, tmp_path, monkeypatch):
    from hf_unlearn import MUMisTrainer

    good = on_the_way(tmp_path / "good", push_anyway=True).push_to_hub().oid
    monkeypatch.setattr(MUMisTrainer, "find_damage", lambda self: "the rest of the model is gone")
    with pytest.raises(DivergenceError):
        on_the_way(tmp_path / "f", push_anyway=True)
    repository = connected_hub.repository(REPO)
    assert repository.sha == good and set(repository.branches) == {"main"}
    assert len(connected_hub.calls("commit")) > 4, "there were pushes on the way"


# Whose it is


def test_fine_grained_tokens_say_where_they_may_write(connected_hub, unlearned):
    def token(number, **scopes):
        return connected_hub.add_token("hf_" + str(number) * 34, "writer", "fineGrained", ("org",), scopes=scopes)

    reading = token(1, writer=["repo.content.read"], org=["repo.content.read", "discussion.write"])
    at_home = token(2, writer=["repo.content.read", "repo.write"])
    in_org = token(3, org=["repo.content.read", "repo.write"])
    for refused in (reading, at_home):
        with pytest.raises(UnlearningError, match="can only read"):
            find_destination(REPO, token=refused)
    assert find_destination("mine", token=at_home).repo_id == "writer/mine"
    push_folder(unlearned, REPO, token=in_org, push_anyway=True)
    alone = connected_hub.add_token(
        "hf_" + "4" * 34, "writer", "fineGrained", ("org",), scopes={REPO: ["repo.content.read", "repo.write"]}
    )
    assert find_destination(REPO, token=alone).head == connected_hub.repository(REPO).sha
    with pytest.raises(UnlearningError, match="can only read"):
        find_destination("org/another", token=alone)


def test_who_may_only_read_in_an_organisation(connected_hub):
    token = connected_hub.add_token("hf_" + "5" * 34, "reader", organisations=("org",), roles={"org": "read"})
    with pytest.raises(UnlearningError, match="'reader' may only read in the organisation 'org'"):
        find_destination(REPO, token=token)


def test_the_hub_itself_is_asked_about_a_repository_that_is_there(connected_hub, monkeypatch):
    HfApi().create_repo(REPO)
    real = State.writer

    def writer(call, repo_id):
        raise Refusal(403, "Forbidden")

    monkeypatch.setattr(State, "writer", staticmethod(writer))
    with pytest.raises(UnlearningError, match="may not write to it"):
        find_destination(REPO)
    monkeypatch.setattr(State, "writer", real)
    assert find_destination(REPO).head


def test_requests_of_which_nobody_can_tell_do_not_replace_each_other(connected_hub, tmp_path, unlearned):
    where = ForgetRequest(where={"person": ("p4",)})
    settings = {"push_to_hub": True, "hub_model_id": REPO, "push_anyway": True}
    trainer = unlearn(tmp_path / "p4", where, **settings)
    first = trainer.push_to_hub()
    # The same model is pushed again.
    assert push(tmp_path / "p4") == first.oid
    other = ForgetRequest(where={"person": ("p5",)})
    for request in (other, where):
        with pytest.raises(UnlearningError, match="nobody can tell"):
            unlearn(tmp_path / "p5", request, **settings)
    replaced = unlearn(tmp_path / "p5", other, hub_replace=True, **settings).push_to_hub()
    assert replaced.oid == connected_hub.repository(REPO).sha != first.oid


def test_another_original_is_another_model(connected_hub, unlearned, tmp_path):
    push(unlearned)
    record = read_record(str(unlearned))
    record["weights_sha256"] = {"original": "0" * 64, "unlearned": "1" * 64}
    with pytest.raises(UnlearningError, match="made from another original"):
        find_destination(REPO, record=record)
    with pytest.raises(UnlearningError, match="forgot samples of another dataset"):
        find_destination(REPO, record=_of_other_data(read_record(str(unlearned))))


def _of_other_data(record):
    record["weights_sha256"]["unlearned"] = "1" * 64
    record["dataset"] |= {"name": "someone/others", "dataset_fingerprint": "2" * 64}
    return record


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"dataset": {"name": "moved", "dataset_fingerprint": "f"}}, None),
        ({"dataset": {"name": "d", "dataset_fingerprint": "g"}}, None),
        ({"dataset": {"name": "e", "dataset_fingerprint": "g"}}, "another dataset"),
        ({"request": {"kind": "class", "classes": ["b"]}}, "forgot something else (the class 'a')"),
        ({"request": None}, "forgot something else"),
        ({"weights_sha256": {"original": "p", "unlearned": "v"}}, "another original"),
        ({"weights_sha256": {"original": "p", "unlearned": "u"}, "request": None}, None),
        ({"weights_sha256": {}, "original_model": {"name": "n"}}, "another original"),
        ({"weights_sha256": {}}, None),
    ],
)
def test_what_makes_a_model_another_one(changes, expected):
    there = {
        "request": {"kind": "class", "classes": ["a"], "text": "the class 'a'"},
        "weights_sha256": {"original": "o", "unlearned": "u"},
        "original_model": {"name": "m"},
        "dataset": {"name": "d", "dataset_fingerprint": "f"},
    }
    ours = {**there, "weights_sha256": {"original": "o", "unlearned": "v"}, **changes}
    found = difference(there, ours)
    assert found is None if expected is None else expected in found


def test_a_push_in_between_is_not_overwritten(connected_hub, unlearned, monkeypatch):
    push(unlearned)
    destination = find_destination(REPO, record=read_record(str(unlearned)))
    write_record({**read_record(str(unlearned)), "stop_reason": "mine"}, str(unlearned))
    repository = connected_hub.repository(REPO)
    HfApi().upload_file(path_or_fileobj=b"x", path_in_repo="theirs.txt", repo_id=REPO)
    theirs = repository.sha
    with pytest.raises(PublishingError, match="somebody else pushed to it meanwhile; look at what is there"):
        push_folder(str(unlearned), destination, push_anyway=True)
    assert repository.sha == theirs
    # And in the last moment: the Hub answers 412.
    destination = find_destination(REPO, record=read_record(str(unlearned)))
    real = commits._commit

    def commit(files, destination, branch, *rest):
        if branch == "main":
            HfApi().upload_file(path_or_fileobj=b"y", path_in_repo="theirs.txt", repo_id=REPO)
        return real(files, destination, branch, *rest)

    monkeypatch.setattr(commits, "_commit", commit)
    with pytest.raises(PublishingError, match="somebody else pushed to it meanwhile"):
        push_folder(str(unlearned), destination, push_anyway=True)
    assert titles(repository)[0].startswith("Upload theirs.txt") and set(repository.branches) == {"main"}


def test_a_repository_that_somebody_made_meanwhile_is_not_overwritten(connected_hub, unlearned):
    destination = find_destination(REPO)
    make_model().push_to_hub(REPO)
    with pytest.raises(PublishingError, match="somebody else pushed"):
        push_folder(str(unlearned), destination, push_anyway=True)


def test_a_card_by_hand_is_not_replaced(connected_hub, unlearned, capsys):
    api = HfApi()
    api.create_repo(REPO)
    written = b"---\nlicense: mit\n---\n# mine\n"
    api.upload_file(path_or_fileobj=written, path_in_repo="README.md", repo_id=REPO)
    with pytest.raises(UnlearningError, match="README.md there was written or changed by hand.*--hub_replace"):
        push(unlearned)
    repository = connected_hub.repository(REPO)
    assert repository.read("README.md") == written
    push(unlearned, replace=True)
    # And the library's own, once somebody has added to it.
    changed = repository.read("README.md").replace(b"# ", b"# My ", 1)
    api.upload_file(path_or_fileobj=changed, path_in_repo="README.md", repo_id=REPO)
    words = ["push", str(unlearned), "--hub_model_id", REPO, "--push_anyway"]
    assert main(words) == 2 and "changed by hand" in capsys.readouterr().err
    assert main([*words, "--hub_replace"]) == 0 and is_sealed(repository.read("README.md").decode())


def test_a_licence_file_stays(connected_hub, unlearned):
    HfApi().create_repo(REPO)
    HfApi().upload_file(path_or_fileobj=b"mine", path_in_repo="LICENSE", repo_id=REPO)
    push(unlearned)
    assert connected_hub.repository(REPO).read("LICENSE") == b"mine"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.fp16.safetensors", "tf_model.h5", "training_args.bin"])
def test_weights_of_an_earlier_model_go_in_any_form(connected_hub, unlearned, name):
    push(unlearned)
    HfApi().upload_file(path_or_fileobj=b"it remembers", path_in_repo=name, repo_id=REPO)
    push(unlearned)
    assert name not in connected_hub.repository(REPO).paths()


def test_a_seal_holds_until_something_changes():
    text = sealed("---\na: b\n---\n# A card\n\ntext\n")
    assert is_sealed(text) and sealed(text) == text and is_sealed(text.replace("\n", "\r\n"))
    assert not is_sealed(text.replace("text", "test")) and not is_sealed("text") and not is_sealed(text + "more\n")


def test_a_record_that_is_not_json_is_no_model_of_ours(connected_hub, unlearned):
    push(unlearned)
    HfApi().upload_file(path_or_fileobj=b"{", path_in_repo="unlearning.json", repo_id=REPO)
    with pytest.raises(UnlearningError, match="not JSON"):
        push(unlearned)
