"""Whatever is asked for, whatever is there and whatever goes wrong: verified and true, or a clear error and no harm."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi, file_download
from huggingface_hub.utils import _http
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hf_unlearn import ForgetRequest, UnlearningError
from hf_unlearn.files import RECORD_NAME, WITHHELD_NAME
from hf_unlearn.models import hub as asking
from hf_unlearn.publishing.push import destination_of, published_files, push_folder
from hf_unlearn.publishing.record import read_record, write_record
from tests.hub import Fault, LocalHub
from tests.hub.clients import pointed_here
from tests.hub.fixtures import WRITE_TOKEN
from tests.publishing.conftest import unlearn

REQUESTS = {
    "class": ForgetRequest(classes=("red",)),
    "another class": ForgetRequest(classes=("blue",)),
    "where": ForgetRequest(where={"person": ("p4",)}),
    "indices": ForgetRequest(indices=(5, 13, 29)),
    "fraction": ForgetRequest(fraction=0.2),
}
# What is there before, and whether a push may replace it.
STATES = {
    "nothing": True,
    "nothing, in an organisation whose repositories are private": True,
    "an empty repository": True,
    "an empty private repository": True,
    "the same model": True,
    "the same model, described otherwise": True,
    "the same model, with older weights beside it": True,
    "another model": False,
    "a card by hand": False,
    "something else": None,
}
CALLS = ["whoami", "info", "auth-check", "create", "branch", "preupload", "lfs-batch", "lfs-put", "commit", "resolve"]
KINDS = ["500", "503", "429", "reset", "hang-up", "stall", "cut", "garbled", "answer-lost"]
UNKNOWN = "whether the Hub took the model cannot be asked"

faults = st.builds(
    Fault,
    kind=st.sampled_from(KINDS),
    call=st.sampled_from(CALLS) | st.integers(0, 40),
    times=st.sampled_from([1, 2, 1000]),
    after=st.integers(0, 3),
    seconds=st.just(0.01),
)
pushes = st.fixed_dictionaries(
    {
        "private": st.sampled_from([None, None, True, False]),
        "replace": st.booleans(),
        "revision": st.sampled_from([None, None, "v2"]),
        "faults": st.lists(faults, max_size=2),
        "meanwhile": st.sampled_from([False, False, False, True]),
    }
)
sequences = st.fixed_dictionaries(
    {
        "request": st.sampled_from([name for name in REQUESTS if name != "another class"]),
        "state": st.sampled_from(list(STATES)),
        "from_private": st.sampled_from([False, False, True]),
        "pushes": st.lists(pushes, min_size=1, max_size=2),
    }
)


@dataclass
class World:
    """One Hub for all sequences, each in a repository of its own."""

    hub: LocalHub
    folders: dict[str, Path]
    room: Path
    numbers: itertools.count


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    folders = {}
    for name, request in REQUESTS.items():
        folders[name] = root / name.replace(" ", "-")
        unlearn(folders[name], request).save_model()
    with LocalHub() as hub, pytest.MonkeyPatch.context() as patch:
        hub.state.private_by_default.add("secret")
        hub.add_token(WRITE_TOKEN, "writer", organisations=("org", "secret"))
        for module in (asking, _http, file_download):
            patch.setattr(module, "time", _Hurry())
        with pointed_here(hub, root / "hf-home", WRITE_TOKEN):
            yield World(hub, folders, root, itertools.count())


class _Hurry:
    """The module `time`, in which nobody sleeps."""

    def sleep(self, seconds):
        pass

    def __getattr__(self, name):
        import time

        return getattr(time, name)


def digests(folder):
    """Of all files but those that a push makes anew; and the record, which notes where the model goes, and what the Hub
    said of its original."""
    record = {name: value for name, value in read_record(str(folder)).items() if name != "hub_model_id"}
    record["original_model"] = {**record["original_model"], "private": None}
    return record, {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name not in ("README.md", RECORD_NAME, WITHHELD_NAME) and path.suffix != ".png"
    }


def stock(world, repo_id, state, folder):
    """Bring about what is there before."""
    api = HfApi()
    if "repository" in state and not state.startswith("nothing"):
        api.create_repo(repo_id, private="private" in state)
    elif state.startswith("the same model") or state == "another model":
        push_folder(world.folders["another class"] if state == "another model" else folder, repo_id, push_anyway=True)
    elif not state.startswith("nothing"):
        api.create_repo(repo_id)
    if state.endswith("described otherwise"):
        write_record({**read_record(str(folder)), "stop_reason": "another"}, str(folder))
    elif state.endswith("older weights beside it"):
        add(repo_id, "pytorch_model.bin")
    elif state == "a card by hand":
        add(repo_id, "README.md", b"---\nlicense: mit\n---\nby hand\n")
    elif state == "something else":
        add(repo_id, "weights.npz")


def add(repo_id, name, content=b"theirs"):
    HfApi().upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=repo_id)


def make_private(folder):
    """Have the record say that the original is one of the Hub's, which this Hub does not show."""
    original = {"name": "hospital/patients", "revision": None, "license": None, "from_hub": True}
    write_record({**read_record(str(folder)), "original_model": original}, str(folder))


def seen_on_main(repository):
    return None if repository is None else (repository.sha, repository.find("main").files)


def check(world, sequence):
    state, number = sequence["state"], next(world.numbers)
    repo_id = f"{'secret' if 'organisation' in state else 'org'}/m{number}"
    folder = shutil.copytree(world.folders[sequence["request"]], world.room / f"m{number}")
    world.hub.clear()
    stock(world, repo_id, state, folder)
    if sequence["from_private"]:
        make_private(folder)
    ours = STATES[state] is True
    for push in sequence["pushes"]:
        pushed = attempt(world, repo_id, folder, push)
        assert not (pushed and sequence["from_private"]) or world.hub.repository(repo_id).private, "it went public"
        assert not pushed or ours or (push["replace"] and STATES[state] is not None), "it replaced another's"
        ours = ours or (pushed and push["revision"] is None)
    if STATES[state] is not None:
        # Whatever went wrong before, the last one arrives, where it may.
        there = world.hub.repos.get(("model", repo_id))
        if sequence["from_private"] and there is not None and not there.private:
            with pytest.raises(UnlearningError, match="--publish_private_sources"):
                push_folder(folder, repo_id, push_anyway=True, replace=True)
        else:
            private = True if sequence["from_private"] else None
            commit = push_folder(folder, repo_id, push_anyway=True, replace=True, private=private)
            assert_true(world, repo_id, folder, "main", commit)
            assert not sequence["from_private"] or "hospital" not in everything(world.hub.repository(repo_id))
    shutil.rmtree(folder)
    world.hub.repos.pop(("model", repo_id), None)


def everything(repository):
    """All that a repository has on `main`, as text."""
    return "".join(blob.content.decode("utf-8", "replace") for blob in repository.find("main").files.values())


def attempt(world, repo_id, folder, push):
    """One push; whether it succeeded."""
    repositories, whole = world.hub.repos, digests(folder)
    before = repositories.get(("model", repo_id))
    was_private, on_main = getattr(before, "private", None), seen_on_main(before)
    for fault in push["faults"]:
        world.hub.inject(Fault(**{name: value for name, value in vars(fault).items() if not name.startswith("_")}))
    wanted = {name: push[name] for name in ("private", "replace", "revision")}
    branch = push["revision"] or "main"
    try:
        destination = destination_of(str(folder), repo_id, **wanted)
        if push["meanwhile"] and before is not None:
            with world.hub.unobserved():
                add(repo_id, "LICENSE", str(len(before.commits)).encode())
            on_main = seen_on_main(before)
        commit = push_folder(folder, destination, push_anyway=True)
    except UnlearningError as error:
        said, commit = str(error), None
    world.hub.clear()
    assert digests(folder) == whole
    repository = repositories.get(("model", repo_id))
    if commit is not None:
        assert_true(world, repo_id, folder, branch, commit)
        assert push["private"] in (None, repository.private)
        if before is None and push["private"] is None:
            assert repository.private is repo_id.startswith("secret/")
        assert was_private in (None, repository.private)
        if branch != "main":
            assert on_main in (None, seen_on_main(repository))
        return True
    assert said and "\n" not in said, said
    if before is None:
        is_as_it_was = repository is None or repository.paths() == [".gitattributes"]
    else:
        is_as_it_was = seen_on_main(repository) == on_main
    if not is_as_it_was:
        # What was taken without an answer had been read back.
        assert UNKNOWN in said, said
        assert_true(world, repo_id, folder, "main", repository.sha)
    return False


def assert_true(world, repo_id, folder, branch, commit):
    """The branch is at the commit, and that serves what is in the folder and nothing of another model."""
    repository = world.hub.repository(repo_id)
    assert repository.branches[branch] == commit
    there = {name: blob.content for name, blob in repository.find(commit).files.items()}
    sent = published_files(str(folder))
    assert {name: there.get(name) for name in sent} == {name: (folder / name).read_bytes() for name in sent}
    assert set(there) - set(sent) <= {".gitattributes", "LICENSE"}


@pytest.mark.timeout(900)
@given(sequence=sequences)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_a_sequence_ends_well(world, sequence):
    check(world, sequence)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(sequence=sequences)
@settings(max_examples=500, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_five_hundred_sequences_end_well(world, sequence):
    check(world, sequence)
