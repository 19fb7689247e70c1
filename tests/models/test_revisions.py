"""What is asked of the Hub before a run, and what an answer that is none leaves behind."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from hf_unlearn import UnlearningError
from hf_unlearn.models import hub
from hf_unlearn.models.revisions import resolve_revision
from tests.hub import Fault
from tests.hub.clients import add_model
from tests.tiny import make_model


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_not_switched_off_for_the_rest_of_the_process(monkeypatch, status):
    response = SimpleNamespace(status_code=status, headers={}, request=None)

    def busy(*args, **kwargs):
        raise HfHubHTTPError("busy", response=response)

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", busy)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
    # What is loaded now would be of no commit that anybody could name.
    with pytest.raises(UnlearningError, match=f"does not say which commit .* status {status}"):
        resolve_revision("org/model", None)
    assert resolve_revision("org/model", "a" * 40).commit == "a" * 40
    assert not huggingface_hub.constants.is_offline_mode()


@pytest.mark.parametrize("kind", ["503", "429", "reset", "hang-up"])
def test_one_fault_unpins_nothing(connected_hub, client_waits, tmp_path, monkeypatch, kind):
    commit = add_model(connected_hub, "org/model", make_model(), home=tmp_path / "a")
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
    fault = connected_hub.inject(Fault(kind, call="info"))
    assert resolve_revision("org/model", None).commit == commit and fault.times == 0
    assert hub.hub_fault() is None and not huggingface_hub.constants.is_offline_mode()


def test_a_hub_that_stays_busy_leaves_what_is_cached(connected_hub, client_waits, tmp_path, monkeypatch):
    commit = add_model(connected_hub, "org/model", make_model(), home=tmp_path / "a")
    assert resolve_revision("org/model", None).commit == commit
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
    connected_hub.inject(Fault("503", call="info", times=1000))
    assert resolve_revision("org/model", None).commit == commit
