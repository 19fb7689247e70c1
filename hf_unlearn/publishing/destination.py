"""Where a model is to go on the Hub, checked before any long work: may this token write there, and what is there?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import huggingface_hub
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)

from hf_unlearn.errors import PublishingError, UnlearningError, one_line
from hf_unlearn.files import RECORD_NAME
from hf_unlearn.models.hub import hub_fault
from hf_unlearn.publishing.patience import patience

# Files that a new repository has, or that anyone may have put there: nothing is lost when they are replaced.
_HARMLESS = {".gitattributes", "README.md", "LICENSE"}


@dataclass(frozen=True)
class Destination:
    """A repository to push to.

    Attributes:
        repo_id: with its namespace.
        private: whether to create it private.
        token: None: the one of the environment or the login.
        exists: whether it is there already.
    """

    repo_id: str
    private: bool
    token: str | None
    exists: bool

    @property
    def api(self) -> HfApi:
        """A client with the destination's token."""
        return HfApi(token=self.token)


def find_destination(
    repo_id: str, *, private: bool | None = None, token: str | None = None, request: dict[str, Any] | None = None
) -> Destination:
    """Check that a push can work, without writing anything.

    Args:
        repo_id: `organisation/name`, or a name alone for the user's own namespace.
        request: the public form of the request. A repository with another content than a model that forgot this is
            refused; None: one with any model in it is.

    Raises:
        UnlearningError: no token, one that cannot write, a name or namespace that cannot be, or a repository that
            holds something else.
        PublishingError: the Hub cannot be reached.
    """
    if silence := hub_fault():
        raise PublishingError(f"the Hub cannot be reached: {silence}")
    if huggingface_hub.constants.is_offline_mode():
        raise UnlearningError("the Hub is switched off (HF_HUB_OFFLINE); expected it on for a push")
    try:
        huggingface_hub.utils.validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UnlearningError(f"hub_model_id {repo_id!r} is not a repository's name: {one_line(error)}") from error
    api = HfApi(token=token)
    with patience():
        who = _who(api, token)
    name = who["name"]
    organisations = [each["name"] for each in who.get("orgs", [])]
    namespace, _, rest = repo_id.rpartition("/")
    if not namespace:
        repo_id, namespace = f"{name}/{rest}", name
    if namespace not in (name, *organisations):
        known = ", ".join(repr(each) for each in (name, *organisations))
        raise UnlearningError(f"hub_model_id {repo_id!r}: this token may write to {known} only, not to {namespace!r}")
    _check_role(who, repo_id)
    with patience():
        exists = _check_content(api, repo_id, request)
    return Destination(repo_id, bool(private), token, exists)


def _who(api: HfApi, token: str | None) -> dict[str, Any]:
    try:
        return api.whoami(token=token)
    except LocalTokenNotFoundError as error:
        raise UnlearningError("there is no token for the Hub; expected HF_TOKEN, or `hf auth login`") from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise UnlearningError("the Hub does not take this token; expected a valid one with write access") from error
        raise PublishingError(f"the Hub cannot be asked who the token is of: {one_line(error)}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise PublishingError(f"the Hub cannot be reached: {one_line(error)}") from error
    except Exception as error:
        # The client's transport errors have a base of their own, which differs between its releases.
        raise PublishingError(f"the Hub cannot be reached: {one_line(error)}") from error


def _check_role(who: dict[str, Any], repo_id: str) -> None:
    role = ((who.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise UnlearningError(f"the token can only read; expected one with write access to push to {repo_id!r}")


def _check_content(api: HfApi, repo_id: str, request: dict[str, Any] | None) -> bool:
    """Whether the repository exists; refuses one that holds something else."""
    try:
        files = set(api.list_repo_files(repo_id))
    except GatedRepoError as error:
        raise UnlearningError(f"hub_model_id {repo_id!r} is gated for this token") from error
    except RepositoryNotFoundError:
        return False
    except Exception as error:
        raise PublishingError(f"the Hub cannot be asked for {repo_id!r}: {one_line(error)}") from error
    if files <= _HARMLESS:
        return True
    there = _record_there(api, repo_id) if RECORD_NAME in files else None
    if there is None:
        some = sorted(files - _HARMLESS)[0]
        raise UnlearningError(
            f"hub_model_id {repo_id!r} exists and holds something else ({some!r}, no {RECORD_NAME}); expected a new or "
            "empty repository"
        )
    if request is not None and _bare(there.get("request")) != request:
        raise UnlearningError(
            f"hub_model_id {repo_id!r} holds a model that forgot something else "
            f"({(there.get('request') or {}).get('text', 'unknown')}); expected another repository"
        )
    return True


def _record_there(api: HfApi, repo_id: str) -> dict[str, Any] | None:
    try:
        path = api.hf_hub_download(repo_id, RECORD_NAME)
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except Exception:
        # Whatever it is, it is no record of ours.
        return None
    return record if isinstance(record, dict) else None


def _bare(request: Any) -> Any:
    return {name: value for name, value in request.items() if name != "text"} if isinstance(request, dict) else request
