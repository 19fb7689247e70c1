"""Why there is no model of a name, in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import huggingface_hub
from huggingface_hub.errors import GatedRepoError

from hf_unlearn.errors import one_line, there_are
from hf_unlearn.models.hub import hub_fault


def why_not_found(name: str, error: BaseException, loading: dict[str, Any]) -> str:
    """What to say of a model on the Hub, or of one that is neither there nor here.

    Args:
        name: that it was asked for by.
        error: what its configuration could not be read for.
        loading: `revision` and `token`.
    """
    if is_gated(error):
        page = f"{huggingface_hub.constants.ENDPOINT}/{name}"
        return f"model {name!r} is gated: ask for access on its page ({page}), and log in with `hf auth login`"
    if name.startswith((os.sep, ".", "~")):
        return f"model {name!r} was not found: there is no such folder"
    if name.count("/") > 1:
        owner, repository, inside = name.split("/", 2)
        return (
            f"model {name!r} was not found: there is no such folder, and a name on the Hub has one slash. Of a model "
            f"in a sub-folder of a repository, take a copy: {_copy(owner + '/' + repository, inside)}"
        )
    if silence := hub_fault():
        return f"model {name!r} is no folder here and not in the cache, and the Hub cannot be reached: {silence}"
    if below := _folders_of_models(name, loading):
        return (
            f"model {name!r} has no config.json but in sub-folders: {there_are(below, 5)}; take a copy of one and name "
            f"its folder: {_copy(name, below[0])}"
        )
    return (
        f"model {name!r} was not found: expected a folder, or a name on the Hub such as "
        f"'google/vit-base-patch16-224' ({one_line(error)})"
    )


def _copy(repository: str, folder: str) -> str:
    return f"hf download {repository} --include '{folder}/*' --local-dir copy"


def _folders_of_models(name: str, loading: dict[str, Any]) -> list[str]:
    """The folders of a repository on the Hub in which a model lies; none where one lies above them."""
    with contextlib.suppress(Exception):
        api = huggingface_hub.HfApi(token=loading.get("token"))
        files = api.list_repo_files(name, revision=loading.get("revision"))
        if "config.json" not in files:
            return sorted(os.path.dirname(file) for file in files if file.endswith("/config.json"))
    return []


def is_gated(error: BaseException) -> bool:
    """Whether a model could not be read because one has to ask for access to it."""
    return any(isinstance(each, GatedRepoError) for each in chain(error))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
