"""What is asked of the Hub before a run, and what an answer that is none leaves behind."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from hf_unlearn.models.revisions import resolve_revision


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_not_switched_off_for_the_rest_of_the_process(monkeypatch, status):
    response = SimpleNamespace(status_code=status, headers={}, request=None)

    def busy(*args, **kwargs):
        raise HfHubHTTPError("busy", response=response)

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", busy)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert resolve_revision("org/model", None).commit is None
    assert not huggingface_hub.constants.is_offline_mode()
