"""Each fault does what it says, at each call of a push, and the client meets it."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi, constants, file_download, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

from tests.hub import Fault
from tests.hub.clients import pointed_here
from tests.hub.fixtures import WRITE_TOKEN

PUSH = ["create", "preupload", "lfs-batch", "lfs-put", "lfs-verify", "commit"]
RETRIED = {"preupload", "lfs-batch", "lfs-put", "lfs-verify"}
CONTENT = bytes(range(256)) * 20


def push(repo_id: str = "org/model") -> str:
    api = HfApi()
    api.create_repo(repo_id, exist_ok=True)
    return api.upload_file(path_or_fileobj=CONTENT, path_in_repo="w.safetensors", repo_id=repo_id).oid


def fault_of(call: str) -> Any:
    """The error that the push ends with; the one behind it where the client wraps it."""
    with pytest.raises(Exception) as error:  # noqa: B017, PT011 - the classes of the HTTP library change by version
        push()
    return error.value.__cause__ if call.startswith("lfs") and error.value.__cause__ else error.value


@pytest.mark.parametrize("call", PUSH)
@pytest.mark.parametrize("kind", ["500", "503", "429", "reset", "hang-up", "stall", "answer-lost"])
def test_each_fault_at_each_call(connected_hub, client_waits, kind, call):
    fault = connected_hub.inject(Fault(kind, call=call, times=1, retry_after=4, seconds=0.1))
    if call in RETRIED:
        sha = push()
        assert connected_hub.calls(call) == [call, call]
        assert client_waits == [5.0 if kind == "429" else 1]
        assert connected_hub.repository("org/model").read("w.safetensors", sha) == CONTENT
    else:
        error = fault_of(call)
        assert connected_hub.calls(call) == [call]
        assert client_waits == []
        if kind in ("500", "503", "429"):
            assert isinstance(error, HfHubHTTPError)
            assert str(error.response.status_code) == kind
            assert kind != "429" or error.response.headers["Retry-After"] == "4"
        else:
            assert type(error).__name__ == {"hang-up": "RemoteProtocolError"}.get(kind, "ReadError")
    met = [request for request in connected_hub.requests if request.fault]
    assert [(request.kind, request.fault) for request in met] == [(call, kind)]
    assert [str(request.status) for request in met] == [kind if kind.isdigit() else "0"]
    assert fault.times == 0


@pytest.mark.parametrize("call", PUSH)
def test_a_fault_that_stays_ends_the_push(connected_hub, client_waits, call):
    connected_hub.inject(Fault("503", call=call, times=100))
    assert fault_of(call).response.status_code == 503
    assert len(connected_hub.calls(call)) == (6 if call in RETRIED else 1)
    assert client_waits == ([1, 2, 4, 8, 8] if call in RETRIED else [])


def test_a_fault_by_number_meets_every_call_of_a_push_in_turn(connected_hub, client_waits):
    connected_hub.inject(Fault("answer-lost", call=0))
    for number, call in enumerate(PUSH):
        connected_hub.clear()
        connected_hub.inject(Fault("500", call=number))
        try:
            push(f"org/model-{number}")
        except HfHubHTTPError:
            assert call not in RETRIED
        else:
            assert call in RETRIED
        assert [request.kind for request in connected_hub.requests if request.fault] == [call]


def test_after_and_times_and_method(connected_hub, client_waits):
    sha = push()
    connected_hub.inject(Fault("429", call="resolve", method="GET", after=1, times=2))
    for _ in range(3):
        hf_hub_download("org/model", "w.safetensors", revision=sha, force_download=True)
    statuses = [request.status for request in connected_hub.requests if request.method == "GET"]
    assert statuses == [200, 429, 429, 200, 200]


@pytest.mark.parametrize(("kind", "taken"), [("answer-lost", True), ("reset", False), ("500", False)])
def test_only_a_lost_answer_leaves_the_commit_in_place(connected_hub, kind, taken):
    connected_hub.inject(Fault(kind, call="commit"))
    fault_of("commit")
    repository = connected_hub.repository("org/model")
    assert ("w.safetensors" in repository.paths()) is taken
    assert len(repository.commits) == 1 + taken
    # Whoever tries again sends nothing new if it was taken.
    push()
    assert len(repository.commits) == 2
    assert repository.read("w.safetensors") == CONTENT


def test_a_lost_answer_to_create_leaves_the_repository(connected_hub):
    connected_hub.inject(Fault("answer-lost", call="create"))
    fault_of("create")
    assert ("model", "org/model") in connected_hub.repos


def test_a_stall_outlasts_the_timeout_of_a_download(connected_hub, client_waits, monkeypatch):
    push()
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    # The client asks a second time, more patiently.
    monkeypatch.setattr(file_download, "_ETAG_RETRY_TIMEOUT", 0.2, raising=False)
    connected_hub.inject(Fault("stall", call="resolve", times=10, seconds=30))
    start = time.monotonic()
    with pytest.raises(huggingface_hub.errors.LocalEntryNotFoundError) as error:
        hf_hub_download("org/model", "w.safetensors")
    assert time.monotonic() - start < 5
    assert "Timeout" in type(error.value.__cause__).__name__


def test_a_download_that_breaks_off_goes_on_where_it_was(connected_hub, client_waits, monkeypatch):
    push()
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 256)
    connected_hub.clear()
    connected_hub.inject(Fault("cut", call="resolve", method="GET"))
    with open(hf_hub_download("org/model", "w.safetensors"), "rb") as file:
        assert file.read() == CONTENT
    first, second = (request for request in connected_hub.requests if request.method == "GET")
    assert (first.status, second.status) == (200, 206)
    assert second.headers["range"] == f"bytes={len(CONTENT) // 2}-"


def test_with_xet_on_a_lost_answer_makes_a_second_commit(hub, hub_home, client_waits, tmp_path):
    """`upload_folder` takes another way with xet on, which sends the commit again: what users have by default."""
    if not (find_spec("hf_xet") and find_spec("huggingface_hub._upload_pipeline")):
        pytest.skip("no xet, or a version without this way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "w.safetensors").write_bytes(CONTENT)
    hub.state.lfs_suffixes = ()
    with pointed_here(hub, hub_home, WRITE_TOKEN, xet=True):
        HfApi().create_repo("org/model")
        hub.inject(Fault("answer-lost", call="commit"))
        HfApi().upload_folder(repo_id="org/model", folder_path=tmp_path / "folder")
    assert hub.calls("commit") == ["commit", "commit"]
    assert len(hub.repository("org/model").commits) == 3


@pytest.mark.parametrize("wrong", [{"kind": "teapot", "call": "commit"}, {"kind": "500", "call": "comit"}])
def test_a_fault_that_could_never_happen_is_refused(wrong):
    with pytest.raises(ValueError, match="not one of|neither"):
        Fault(**wrong)
