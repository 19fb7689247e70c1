"""From a name on the Hub and a branch to the commit that it is now, once, so that everything later is of one commit."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import expand_user
from hf_unlearn.models.hub import go_on_without_hub, silence_of, tried

# A model has the first; an adapter (PEFT) may have the second alone.
_CONFIGS = ("config.json", "adapter_config.json")


class Resolved(NamedTuple):
    """A repository at a commit.

    Attributes:
        commit: 40 hexadecimal digits; None for what is not on the Hub, or if the Hub cannot be asked.
        license: as the repository's card names it, if it does.
    """

    commit: str | None
    license: str | None


def resolve_revision(
    name: str | os.PathLike, revision: str | None, repo_type: str = "model", token: str | None = None
) -> Resolved:
    """The commit that a branch, tag or commit of a repository is; offline the one that it was when last looked at.

    Args:
        repo_type: `model` or `dataset`.

    Raises:
        UnlearningError: the repository has no such revision, or the Hub does not say which commit it is and nothing is
            cached. (That there is no such repository is said better by what
            loads it.)
    """
    name = expand_user(name)
    if os.path.exists(name):
        return Resolved(None, None)
    cached = _cached_commit(name, revision) if repo_type == "model" else None
    if huggingface_hub.constants.is_offline_mode():
        return Resolved(cached, None)
    try:
        api = huggingface_hub.HfApi()
        found = tried(lambda: api.repo_info(name, repo_type=repo_type, revision=revision, token=token))
    except RevisionNotFoundError as error:
        raise UnlearningError(f"{repo_type} {name!r} has no revision {revision!r}") from error
    # The transport's errors are of no common kind, and what answers may not be the Hub.
    except Exception as error:
        silence = silence_of(error)
        if silence is None:
            return Resolved(None, None)
        known = cached or (revision if re.fullmatch("[0-9a-f]{40}", revision or "") else None)
        # What answers with a status may answer the next call; for one that was refused nothing is switched off.
        if not isinstance(error, HfHubHTTPError):
            go_on_without_hub(silence)
        elif known is None:
            # Whatever would be loaded, nobody could say later what it was.
            raise UnlearningError(
                f"the Hub does not say which commit {repo_type} {name!r} is at: {silence}; expected an answer, or "
                "HF_HUB_OFFLINE=1 for what is in the cache"
            ) from error
        return Resolved(known, None)
    if repo_type == "model":
        # What is loaded by its commit leaves no trace of the branch in the cache, where an offline run looks for it.
        for config in _CONFIGS:
            with contextlib.suppress(Exception):
                huggingface_hub.hf_hub_download(name, config, revision=revision, token=token)
                break
    card = getattr(found, "card_data", None)
    licence = card.get("license") if card is not None else None
    return Resolved(found.sha, licence if isinstance(licence, str) else None)


def _cached_commit(name: str, revision: str | None) -> str | None:
    for config in _CONFIGS:
        with contextlib.suppress(HFValidationError):
            path = huggingface_hub.try_to_load_from_cache(name, config, revision=revision)
            if isinstance(path, str):
                return Path(path).parent.name
    return None
