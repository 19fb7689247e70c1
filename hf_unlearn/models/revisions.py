"""From a name on the Hub and a branch to the commit that it is now, once, so that everything later is of one commit."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError
from huggingface_hub.file_download import repo_folder_name

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import expand_user
from hf_unlearn.models.hub import go_on_without_hub, silence_of, tried
from hf_unlearn.names import is_hub_name, is_repo_id

# A model has the first; an adapter (PEFT) may have the second alone.
_CONFIGS = ("config.json", "adapter_config.json")


class Resolved(NamedTuple):
    """A repository at a commit.

    Attributes:
        commit: 40 hexadecimal digits; None for what is not on the Hub, or if the Hub cannot be asked.
        license: as the repository's card names it, if it does.
        license_name, license_link: of a licence that the Hub has no name for (`license: other`).
        private: whether it is private there; None: the Hub did not say.
        from_hub: whether the name is the Hub's, and not of a file or folder that was here.
    """

    commit: str | None
    license: str | None
    license_name: str | None = None
    license_link: str | None = None
    private: bool | None = None
    from_hub: bool = True

    def as_origin(self) -> dict[str, Any]:
        """What a run's provenance keeps of its original model."""
        fields = self._asdict()
        return {"revision": fields.pop("commit"), **fields}


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
        return Resolved(None, None, from_hub=False)
    cached = cached_commit(name, revision) if repo_type == "model" else None
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
    said = [None if card is None else card.get(key) for key in ("license", "license_name", "license_link")]
    licence, title, link = (each if isinstance(each, str) else None for each in said)
    return Resolved(found.sha, licence, title, link, found.private)


def cached_commit(name: str, revision: str | None, cache_dir: str | None = None) -> str | None:
    """The commit that a model's branch, tag or commit is in the cache of the Hub; None where it is not there."""
    for config in _CONFIGS:
        with contextlib.suppress(HFValidationError):
            path = huggingface_hub.try_to_load_from_cache(name, config, cache_dir=cache_dir, revision=revision)
            if isinstance(path, str):
                return Path(path).parent.name
    return None


def is_loaded_from_hub(name: str, commit: str | None) -> bool:
    """Whether a model that bears `name` was loaded from the Hub, whatever lies here now. The Hub is not asked.

    The path of a folder that has gone, or that was left by a change of the working directory, looks like a name of the
    Hub's. What was loaded from there has a commit, or lies in the cache.

    Args:
        commit: that it was loaded at, if it says.
    """
    return is_repo_id(name) and (commit is not None or (is_hub_name(name) and _is_cached(name)))


def _is_cached(name: str) -> bool:
    """Whether any commit of a model lies in the cache of the Hub."""
    folder = repo_folder_name(repo_id=name, repo_type="model")
    return any(Path(huggingface_hub.constants.HF_HUB_CACHE, folder, "snapshots").glob("*"))
