"""Fixtures for tests that need a Hub; `tests/conftest.py` offers them everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .server import LocalHub

# As long as real ones, so that what hides or finds tokens knows them.
WRITE_TOKEN = "hf_" + "w" * 34
READ_TOKEN = "hf_" + "r" * 34
STRANGER_TOKEN = "hf_" + "x" * 34


def pytest_configure(config: pytest.Config) -> None:
    # huggingface_hub itself sends LFS files by `data=`, which its HTTP library announces to remove.
    config.addinivalue_line("filterwarnings", "ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """An empty Hub. WRITE_TOKEN and READ_TOKEN are of the user "writer", who belongs to "org"; STRANGER_TOKEN may
    write in the user's own namespace only."""
    with LocalHub() as local:
        local.add_token(WRITE_TOKEN, "writer", organisations=("org",))
        local.add_token(READ_TOKEN, "writer", role="read", organisations=("org",))
        local.add_token(STRANGER_TOKEN, "stranger")
        yield local


@pytest.fixture
def hub_home(tmp_path: Path) -> Path:
    """HF_HOME, fresh for each test."""
    return tmp_path / "hf-home"


@pytest.fixture
def connected_hub(hub: LocalHub, hub_home: Path) -> Iterator[LocalHub]:
    """The same, with the clients of this process pointed at it, logged in with WRITE_TOKEN by HF_TOKEN."""
    from .clients import pointed_here

    with pointed_here(hub, hub_home, WRITE_TOKEN):
        yield hub


class _Hurry:
    """The module `time`, but for `sleep`, which notes the seconds and returns."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def client_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client does not wait before it tries again; here are the seconds that it would have waited."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    hurry = _Hurry()
    monkeypatch.setattr(_http, "time", hurry)
    monkeypatch.setattr(file_download, "time", hurry)
    return hurry.waits
