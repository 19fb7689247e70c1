"""The real clients, pointed at a local Hub: in other processes by their environment, in this one by patching.

huggingface_hub and datasets read HF_ENDPOINT and the like once, on import. Everything that holds a copy is patched
here: the constants of huggingface_hub (its functions read them at each call), the `HfApi` that its module-level
functions belong to, the one that transformers makes at its first push and keeps, and the configuration of datasets.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .server import LocalHub

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedModel

_FOREIGN = ("HF_", "HUGGING", "TRANSFORMERS_OFFLINE", "TRANSFORMERS_CACHE")


def settings(hub: LocalHub, home: str | Path, token: str | None, xet: bool = False) -> dict[str, str]:
    """The environment variables that matter, and no others."""
    found = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        # load_dataset counts its loads at an address outside the Hub.
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return {**found, **({"HF_TOKEN": token} if token else {})}


def environment(hub: LocalHub, home: str | Path, token: str | None = None, xet: bool = False) -> dict[str, str]:
    """A whole environment for a subprocess whose clients speak to the hub.

    Args:
        home: HF_HOME, for the caches; a temporary folder.
        token: HF_TOKEN; none without one.
        xet: leave xet on, which makes `upload_folder` take another way; needs `hub.state.lfs_suffixes = ()`.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, **settings(hub, home, token, xet)}


def point_here(
    hub: LocalHub, home: str | Path, token: str | None, patch: pytest.MonkeyPatch, xet: bool = False
) -> None:
    """Make the clients of this process speak to the hub until the patches are undone."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _http
    from transformers.utils import hub as transformers_hub

    home = Path(home)
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        patch.delenv(name)
    for name, value in settings(hub, home, token, xet).items():
        patch.setenv(name, value)

    cache = str(home / "hub")
    values: list[tuple[Any, str, Any]] = [
        (constants, "ENDPOINT", hub.endpoint),
        (constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"),
        (constants, "HF_HOME", str(home)),
        (constants, "HF_HUB_CACHE", cache),
        (constants, "HUGGINGFACE_HUB_CACHE", cache),
        (constants, "HF_ASSETS_CACHE", str(home / "assets")),
        (constants, "HF_TOKEN_PATH", str(home / "token")),
        (constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens")),
        (constants, "HF_HUB_OFFLINE", False),
        (constants, "HF_HUB_DISABLE_XET", not xet),
        (constants, "HF_HUB_DISABLE_TELEMETRY", True),
        (hf_api.api, "endpoint", hub.endpoint),
        (datasets.config, "HF_ENDPOINT", hub.endpoint),
        (datasets.config, "HUB_DATASETS_URL", hub.endpoint + "/datasets/{repo_id}/resolve/{revision}/{path}"),
        (datasets.config, "HF_HUB_OFFLINE", False),
        (datasets.config, "HF_DATASETS_OFFLINE", False),
        (datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False),
        (datasets.config, "HF_CACHE_HOME", str(home)),
        (datasets.config, "HF_DATASETS_CACHE", home / "datasets"),
        (datasets.config, "DOWNLOADED_DATASETS_PATH", home / "datasets" / "downloads"),
        (datasets.config, "EXTRACTED_DATASETS_PATH", home / "datasets" / "downloads" / "extracted"),
    ]
    for owner, name, value in values:
        patch.setattr(owner, name, value)
    # Not every version has these two.
    if hasattr(_http, "_HUB_ORIGINS"):
        patch.setattr(_http, "_HUB_ORIGINS", _http._HUB_ORIGINS | {_http._url_origin(hub.endpoint)})
    if hasattr(transformers_hub, "_hf_api"):
        patch.setattr(transformers_hub, "_hf_api", None)
    huggingface_hub.HfFileSystem.clear_instance_cache()
    huggingface_hub.close_session()


@contextlib.contextmanager
def pointed_here(hub: LocalHub, home: str | Path, token: str | None = None, xet: bool = False) -> Iterator[None]:
    """`point_here` for the length of a `with`."""
    import huggingface_hub

    with pytest.MonkeyPatch.context() as patch:
        point_here(hub, home, token, patch, xet)
        try:
            yield
        finally:
            huggingface_hub.HfFileSystem.clear_instance_cache()
            huggingface_hub.close_session()


_STOCKER = "hf_" + "s" * 34


@contextlib.contextmanager
def _stocking(hub: LocalHub, repo_id: str, home: str | Path) -> Iterator[str]:
    """The token of someone who may write to the repository; nothing is recorded meanwhile."""
    namespace = repo_id.split("/")[0]
    hub.add_token(_STOCKER, "stocker", organisations=(namespace,))
    try:
        with hub.unobserved(), pointed_here(hub, home, _STOCKER):
            yield _STOCKER
    finally:
        del hub.state.accounts[_STOCKER]


def add_model(
    hub: LocalHub,
    repo_id: str,
    model: PreTrainedModel,
    processor: Any = None,
    *,
    home: str | Path,
    private: bool = False,
) -> str:
    """Put a model on the hub by its own `push_to_hub`, unrecorded; the hash of the commit.

    Args:
        home: a temporary folder for the clients' caches.
    """
    with _stocking(hub, repo_id, home):
        model.push_to_hub(repo_id, private=private)
        if processor is not None:
            processor.push_to_hub(repo_id, private=private)
    return hub.repository(repo_id).sha


def add_dataset(
    hub: LocalHub,
    repo_id: str,
    dataset: Dataset | DatasetDict,
    config_name: str = "default",
    *,
    home: str | Path,
    private: bool = False,
    split: str | None = None,
) -> str:
    """The same for a dataset. A single `Dataset` becomes the split `split`, "train" if not given."""
    with _stocking(hub, repo_id, home):
        extra = {"split": split} if split else {}
        dataset.push_to_hub(repo_id, config_name, private=private, **extra)
    return hub.repository(repo_id, "dataset").sha
