"""The local Hub as huggingface_hub sees it: repositories, uploads, history, rights, the record of requests."""

from __future__ import annotations

import hashlib

import huggingface_hub
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub import LocalHub
from tests.hub.fixtures import READ_TOKEN, STRANGER_TOKEN, WRITE_TOKEN

PUSH = ["preupload", "lfs-batch", "lfs-put", "lfs-verify", "commit"]


@pytest.fixture
def api(connected_hub):
    return HfApi()


def upload(api: HfApi, content: bytes, path: str = "notes.txt", repo_id: str = "org/model", **kwargs) -> str:
    return api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo_id, **kwargs).oid


@pytest.fixture
def folder(tmp_path):
    """A folder with two small files, one below another folder, and one for LFS."""
    place = tmp_path / "upload"
    (place / "plots").mkdir(parents=True)
    (place / "README.md").write_text("---\nlicense: mit\ntags: [unlearning]\nbase_model: org/base\n---\nA model.\n")
    (place / "plots" / "curve.svg").write_text("<svg/>")
    (place / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    return place


@pytest.mark.parametrize(("path", "kinds"), [("notes.txt", ["preupload", "commit"]), ("w.safetensors", PUSH)])
def test_a_file_comes_back_as_it_went(api, connected_hub, path, kinds):
    content = bytes(range(256)) * 5
    api.create_repo("org/model")
    connected_hub.clear()
    sha = upload(api, content, path)

    assert connected_hub.calls() == kinds
    with open(hf_hub_download("org/model", path), "rb") as file:
        assert file.read() == content
    assert connected_hub.repository("org/model").read(path, sha) == content
    known = {entry.path: entry for entry in api.list_repo_tree("org/model")}[path]
    assert known.size == len(content)
    if path == "w.safetensors":
        assert known.lfs.sha256 == hashlib.sha256(content).hexdigest()
    else:
        assert known.lfs is None
        assert known.blob_id == hashlib.sha1(b"blob 1280\0" + content).hexdigest()


def test_a_folder_in_one_commit(api, connected_hub, folder, tmp_path):
    api.create_repo("org/model")
    connected_hub.clear()
    api.upload_folder(repo_id="org/model", folder_path=folder, commit_message="All of it")

    assert connected_hub.calls() == ["validate-yaml", "validate-yaml", *PUSH]
    back = snapshot_download("org/model", local_dir=tmp_path / "back")
    for path in ("README.md", "plots/curve.svg", "model.safetensors"):
        assert (tmp_path / "back" / path).read_bytes() == (folder / path).read_bytes(), back
    assert [commit.title for commit in api.list_repo_commits("org/model")] == ["All of it", "initial commit"]
    info = api.model_info("org/model", files_metadata=True)
    assert info.card_data.license == "mit"
    assert {"unlearning", "license:mit", "base_model:org/base"} <= set(info.tags)
    assert {file.rfilename: file.size for file in info.siblings}["model.safetensors"] == 256 * 40


def test_what_has_not_changed_is_not_sent_again(api, connected_hub, folder):
    api.create_repo("org/model")
    first = api.upload_folder(repo_id="org/model", folder_path=folder).oid
    connected_hub.clear()
    assert api.upload_folder(repo_id="org/model", folder_path=folder).oid == first
    assert connected_hub.calls("lfs-put", "commit") == []


def test_every_revision_stays_readable(api, connected_hub):
    api.create_repo("org/model")
    first, second = upload(api, b"one"), upload(api, b"two")
    api.create_tag("org/model", tag="v1", revision=first)
    api.create_branch("org/model", branch="trial", revision=first)
    third = upload(api, b"three", revision="trial")

    def text(revision):
        with open(hf_hub_download("org/model", "notes.txt", revision=revision)) as file:
            return file.read()

    assert [text(name) for name in (first, second, third, "main", "v1", "trial")] == [
        *("one", "two", "three"),
        *("two", "one", "three"),
    ]
    assert api.model_info("org/model", revision="v1").sha == first
    assert {ref.name: ref.target_commit for ref in api.list_repo_refs("org/model").branches} == {
        "main": second,
        "trial": third,
    }
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("org/model", "notes.txt", revision="v2")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("org/model", "nothing.txt")


def test_deleting(api, connected_hub):
    api.create_repo("org/model")
    before = upload(api, b"one", "a/x.txt")
    api.create_commit("org/model", [CommitOperationDelete("a/", is_folder=True)], commit_message="gone")
    assert api.list_repo_files("org/model") == [".gitattributes"]
    assert "a/x.txt" in api.list_repo_files("org/model", revision=before)
    with pytest.raises(EntryNotFoundError):
        api.delete_file("a/x.txt", "org/model")
    api.delete_repo("org/model")
    assert connected_hub.repos == {}


def test_a_commit_on_what_is_no_longer_the_newest_is_refused(api):
    api.create_repo("org/model")
    first = upload(api, b"one")
    upload(api, b"two")
    with pytest.raises(HfHubHTTPError, match="412"):
        upload(api, b"three", parent_commit=first)


def test_a_repository_is_created_once(api, connected_hub):
    url = api.create_repo("org/model")
    assert (url.repo_id, url.repo_type) == ("org/model", "model")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("org/model", private=True)
    assert api.create_repo("org/model", private=True, exist_ok=True).repo_id == "org/model"
    assert not connected_hub.repository("org/model").private
    assert api.create_repo("mine").repo_id == "writer/mine"
    assert api.create_repo("org/model", repo_type="dataset").repo_type == "dataset"


@pytest.mark.parametrize(
    "head",
    [
        "license: [mit",
        "- a list",
        "base_model: /some/folder",
        "tags: one",
        "model-index:\n- results: []",
        "model-index:\n- name: m\n  results:\n  - task: {type: image-classification}\n    metrics: [{type: accuracy}]",
    ],
)
def test_a_card_with_a_bad_head_is_refused(api, connected_hub, head):
    api.create_repo("org/model")
    with pytest.raises(ValueError, match="Invalid metadata in README.md"):
        upload(api, f"---\n{head}\n---\nA model.\n".encode(), "README.md")
    assert connected_hub.calls("preupload", "commit") == []
    # And by the commit itself, for whoever does not ask first.
    operation = CommitOperationAdd("README.md", f"---\n{head}\n---\n".encode())
    api._validate_yaml = lambda *args, **kwargs: None
    with pytest.raises(BadRequestError, match="Invalid metadata"):
        api.create_commit("org/model", [operation], commit_message="unasked")
    assert connected_hub.repository("org/model").paths() == [".gitattributes"]


@pytest.mark.skipif(huggingface_hub.__version__ < "2", reason="the client before 2.0 uploads elsewhere")
def test_an_lfs_file_that_was_never_uploaded_is_refused(api, connected_hub, monkeypatch):
    api.create_repo("org/model")
    monkeypatch.setattr("huggingface_hub._commit_api._upload_files", lambda **kwargs: None)
    with pytest.raises(HfHubHTTPError, match="never uploaded"):
        upload(api, b"weights", "w.safetensors")
    assert connected_hub.repository("org/model").paths() == [".gitattributes"]


def test_lfs_content_other_than_announced_is_refused(api, connected_hub, monkeypatch):
    api.create_repo("org/model")
    monkeypatch.setattr("huggingface_hub.lfs.UploadInfo.sha256", hashlib.sha256(b"other").digest())
    with pytest.raises(RuntimeError) as error:
        upload(api, b"weights", "w.safetensors")
    assert isinstance(error.value.__cause__, BadRequestError)
    assert connected_hub.repository("org/model").lfs_objects == {}


def test_who_may_read(api, connected_hub):
    api.create_repo("org/secret", private=True)
    upload(api, b"one", repo_id="org/secret")
    assert api.model_info("org/secret").private
    url = hf_hub_url("org/secret", "notes.txt")
    for token in (WRITE_TOKEN, READ_TOKEN):
        assert get_hf_file_metadata(url, token=token).size == 3
    for token, status in ((STRANGER_TOKEN, 404), (False, 401)):
        for look in (
            lambda token=token: get_hf_file_metadata(url, token=token),
            lambda token=token: api.model_info("org/secret", token=token),
            lambda token=token: list(api.list_repo_tree("org/secret", token=token)),
        ):
            with pytest.raises(RepositoryNotFoundError) as error:
                look()
            assert error.value.response.status_code == status
    # Nor does the Hub tell a hidden repository from a missing one.
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/missing")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api.model_info("org/secret", token="hf_" + "0" * 34)


@pytest.mark.parametrize(
    ("token", "status"), [(READ_TOKEN, 403), (STRANGER_TOKEN, 403), (False, 401)], ids=["reader", "stranger", "nobody"]
)
def test_who_may_write(api, connected_hub, token, status):
    api.create_repo("org/model")
    for change in (
        lambda: api.create_repo("org/other", token=token),
        lambda: upload(api, b"one", token=token),
        lambda: api.delete_repo("org/model", token=token),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            change()
        assert error.value.response.status_code == status
    assert list(connected_hub.repos) == [("model", "org/model")]
    assert connected_hub.repository("org/model").paths() == [".gitattributes"]


def test_whoami(api):
    assert (api.whoami()["name"], api.whoami()["auth"]["accessToken"]["role"]) == ("writer", "write")
    assert api.whoami(token=READ_TOKEN)["auth"]["accessToken"]["role"] == "read"
    with pytest.raises(HfHubHTTPError):
        api.whoami(token="hf_" + "0" * 34)


def test_the_record_has_what_was_asked_and_all_that_was_sent(api, connected_hub: LocalHub):
    api.create_repo("org/model")
    operations = [CommitOperationAdd("a.txt", b"plain secret"), CommitOperationAdd("b.bin", b"large secret")]
    api.create_commit("org/model", operations, commit_message="spoken secret")

    requests = {request.kind: request for request in connected_hub.requests}
    assert connected_hub.calls() == ["create", *PUSH]
    assert requests["commit"].path == "/api/models/org/model/commit/main"
    assert (requests["commit"].method, requests["commit"].status) == ("POST", 200)
    assert requests["commit"].token == WRITE_TOKEN
    assert requests["lfs-put"].token is None
    sent = {(sent.call, sent.name): sent.content for sent in connected_hub.uploads()}
    assert sent["commit", "a.txt"] == b"plain secret"
    assert sent["lfs-put", "lfs-put"] == b"large secret"
    assert b"spoken secret" in sent["commit", "header"]
    # What is refused was sent all the same.
    connected_hub.clear()
    with pytest.raises(HfHubHTTPError):
        upload(api, b"refused secret", token=STRANGER_TOKEN)
    assert any(b"refused secret" in sent.content for sent in connected_hub.uploads())
