"""Where a model is to go on the Hub, checked before any long work: may this token write there, and what is there?"""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_unlearn.errors import PublishingError, UnlearningError, one_line
from hf_unlearn.files import CARD_NAME, RECORD_NAME
from hf_unlearn.models.hub import hub_fault, tried
from hf_unlearn.publishing.earlier import carries
from hf_unlearn.publishing.patience import patience
from hf_unlearn.publishing.seal import is_sealed
from hf_unlearn.publishing.secrecy import PRIVATE_MODEL, Disclosure, published
from hf_unlearn.publishing.sources import private_sources

MAIN = "main"
# Files that a new repository has, or that anyone may have put there, and that stay.
_HARMLESS = {".gitattributes", ".gitignore", "LICENSE", "LICENSE.md", "LICENSE.txt"}
_NO_WRITING = ("read", "no_access")


@dataclass(frozen=True)
class Destination:
    """A repository to push to.

    Attributes:
        repo_id: with its namespace.
        private: whether it is to be private; None: as it is there, or by default is.
        token: None: the one of the environment or the login.
        revision: the branch to push to; made from `main` if it is not there.
        head: the commit that the branch was at when it was looked at; None: there was no repository.
        private_sources: what the model was made of that is private on the Hub, and what to say of it; as
            [`private_sources`] gives it.
        sources_told: whether its owner lets names of these, and what was made of them, go public.
    """

    repo_id: str
    private: bool | None
    token: str | None
    revision: str = MAIN
    head: str | None = None
    private_sources: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    sources_told: bool = False

    @property
    def api(self) -> HfApi:
        """A client with the destination's token."""
        return HfApi(token=self.token)

    def look(self, revision: str | None = None, files: bool = False) -> ModelInfo:
        """What the repository has at `revision`, by default at the branch to push to, or where that is to begin.

        Args:
            files: with the digests of its files.

        Raises:
            Exception: there is no such repository, or no answer.
        """
        wanted = revision or self.revision

        def ask(name: str) -> ModelInfo:
            return tried(lambda: self.api.model_info(self.repo_id, revision=name, files_metadata=files))

        try:
            return ask(wanted)
        except RevisionNotFoundError:
            if revision is not None or wanted == MAIN:
                raise
            return ask(MAIN)

    def fetch(self, file: str, commit: str, folder: str) -> str:
        """Fetch a file of a commit as the Hub serves it now, into a folder that is empty at first; returns its path.

        The cache is passed over, which the client would copy from: what is in it need not have come from the Hub, or
        not whole.

        Raises:
            Exception: there is no such file, or no answer.
        """
        nothing = os.path.join(folder, ".cache", "nothing")
        return tried(
            lambda: self.api.hf_hub_download(
                self.repo_id, file, revision=commit, local_dir=folder, cache_dir=nothing, force_download=True
            )
        )

    def check_private(self, is_private: bool | None) -> None:
        """Hold what was asked for against what the Hub says.

        Raises:
            UnlearningError: the repository is public and should be private, or the other way round; or what was made
                of private sources would go public.
        """
        self.check_sources(is_private)
        if self.private is None or is_private is None or self.private == is_private:
            return
        there, wanted = ("private", "public") if is_private else ("public", "private")
        raise UnlearningError(
            f"hub_model_id {self.repo_id!r} is {there} on the Hub, but hub_private_repo is {self.private}; expected "
            f"another repository, or this one made {wanted} in its settings"
        )

    def check_sources(self, is_private: bool | None) -> None:
        """Refuse to let out what was made of private sources, unless their owner wants it.

        Args:
            is_private: whether the repository is, or will be; None: nobody knows.

        Raises:
            UnlearningError: it is not certain to be private.
        """
        if is_private or self.sources_told or not self.private_sources:
            return
        raise UnlearningError(
            f"{', and '.join(self.private_sources.values())}, but hub_model_id {self.repo_id!r} "
            f"{'is public' if is_private is False else 'is not there yet'}; expected a private repository "
            "(--hub_private_repo true), or --publish_private_sources, which lets the name and what was made of it go "
            "public"
        )


def find_destination(
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    record: Mapping[str, Any] | None = None,
    replace: bool = False,
    sources: Mapping[str, Any] | None = None,
) -> Destination:
    """Check that a push can work, without writing anything.

    Args:
        repo_id: `organisation/name`, or a name alone for the user's own namespace.
        private: whether it is to be private; None leaves it to the Hub.
        revision: the branch to push to; by default `main`.
        record: that of the model, as far as it is known. A repository with a model that forgot something else, or from
            another original or dataset, or of which nobody can tell, is refused; None: it is not compared.
        replace: whatever model or card is there is to be replaced.
        sources: the record, or so much of it as says where model and data are from: of what is private on the Hub, no
            public model is made unless the record's disclosure says so. By default `record`.

    Raises:
        UnlearningError: no token, one that cannot write, a name or namespace that cannot be, a repository that is
            public and should be private or the other way round, or that holds something else; private sources, and a
            repository that is not private.
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
    with patience():
        who = _who(HfApi(token=token), token)
        name = who["name"]
        roles = {each["name"]: each.get("roleInOrg") for each in who.get("orgs", [])}
        namespace, _, rest = repo_id.rpartition("/")
        if not namespace:
            repo_id, namespace = f"{name}/{rest}", name
        if namespace not in (name, *roles):
            known = ", ".join(repr(each) for each in (name, *roles))
            raise UnlearningError(
                f"hub_model_id {repo_id!r}: this token may write to {known} only, not to {namespace!r}"
            )
        if roles.get(namespace) in _NO_WRITING:
            raise UnlearningError(
                f"hub_model_id {repo_id!r}: {name!r} may only read in the organisation {namespace!r}; expected another "
                "namespace, or the role to write there"
            )
        _check_token((who.get("auth") or {}).get("accessToken") or {}, namespace, repo_id)
        sources = sources or record or {}
        destination = Destination(
            repo_id,
            private,
            token,
            revision or MAIN,
            private_sources=private_sources(sources, HfApi(token=token)),
            sources_told=Disclosure.of(sources).sources,
        )
        return _looked_at(destination, record, replace)


def _who(api: HfApi, token: str | None) -> dict[str, Any]:
    try:
        return tried(lambda: api.whoami(token=token))
    except LocalTokenNotFoundError as error:
        raise UnlearningError("there is no token for the Hub; expected HF_TOKEN, or `hf auth login`") from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise UnlearningError("the Hub does not take this token; expected a valid one with write access") from error
        raise PublishingError(f"the Hub cannot be asked who the token is of: {one_line(error)}") from error
    except Exception as error:
        # The client's transport errors have a base of their own, which differs between its releases.
        raise PublishingError(f"the Hub cannot be reached: {one_line(error)}") from error


def _check_token(token: Mapping[str, Any], namespace: str, repo_id: str) -> None:
    """Refuse a token that says of itself that it cannot write to the repository."""
    may = token.get("role") != "read"
    scoped = (token.get("fineGrained") or {}).get("scoped") if token.get("role") == "fineGrained" else None
    if isinstance(scoped, list):
        granted = [
            permission
            for scope in scoped
            if (scope.get("entity") or {}).get("name") in (namespace, repo_id)
            for permission in scope.get("permissions") or ()
        ]
        # A contributor makes repositories, and writes to those.
        may = any(each.startswith("repo") and ("write" in each or "contribut" in each) for each in granted)
    if not may:
        raise UnlearningError(f"the token can only read; expected one with write access to push to {repo_id!r}")


def _looked_at(destination: Destination, record: Mapping[str, Any] | None, replaces: bool) -> Destination:
    """The destination with the commit that it is at; refuses one where this model must not go."""
    repo_id = destination.repo_id
    try:
        found = destination.look()
    except GatedRepoError as error:
        raise UnlearningError(f"hub_model_id {repo_id!r} is gated for this token") from error
    except RepositoryNotFoundError:
        # Made as private as it was asked for.
        destination.check_sources(destination.private or None)
        return destination
    except Exception as error:
        raise PublishingError(f"the Hub cannot be asked for {repo_id!r}: {one_line(error)}") from error
    destination.check_private(found.private)
    _check_may_write(destination)
    _check_content(destination, found, record, replaces)
    return replace(destination, head=found.sha)


def _check_may_write(destination: Destination) -> None:
    """Ask the Hub whether the token may write to a repository that is there."""
    api = destination.api
    if "write" not in inspect.signature(api.auth_check).parameters:
        # An older client, which cannot ask.
        return
    try:
        tried(lambda: api.auth_check(destination.repo_id, write=True))
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise UnlearningError(
                f"hub_model_id {destination.repo_id!r}: this token may not write to it; expected one that may, or "
                "another repository"
            ) from error
    except Exception as error:
        raise PublishingError(f"the Hub cannot be asked for {destination.repo_id!r}: {one_line(error)}") from error


def _check_content(destination: Destination, found: ModelInfo, record: Mapping[str, Any] | None, replace: bool) -> None:
    repo_id, files = destination.repo_id, {each.rfilename for each in found.siblings or []}
    if files <= _HARMLESS:
        return
    # Of the same commit as the list, or it may be another's.
    read = _reader(destination, found)
    there = read(RECORD_NAME) if RECORD_NAME in files else None
    others = sorted(files - _HARMLESS - {CARD_NAME})
    if there is None and others:
        raise UnlearningError(
            f"hub_model_id {repo_id!r} exists and holds something else ({others[0]!r}, no {RECORD_NAME}); expected a "
            "new or empty repository"
        )
    if replace:
        return
    if CARD_NAME in files and not is_sealed(read(CARD_NAME) or ""):
        raise UnlearningError(
            f"hub_model_id {repo_id!r}: the {CARD_NAME} there was written or changed by hand, and a push would "
            "replace it; expected another repository, or --hub_replace"
        )
    if there is None or record is None:
        return
    try:
        theirs = json.loads(there)
        other = difference(theirs, record) if isinstance(theirs, dict) else f"of which {RECORD_NAME} says nothing"
    except ValueError:
        other = f"of which {RECORD_NAME} is not JSON"
    if other is not None:
        raise UnlearningError(
            f"hub_model_id {repo_id!r} holds a model {other}; expected another repository, or --hub_replace"
        )


def _reader(destination: Destination, found: ModelInfo) -> Any:
    def read(name: str) -> str | None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = destination.fetch(name, str(found.sha), folder)
            except Exception as error:
                raise PublishingError(
                    f"the Hub does not serve {name} of {destination.repo_id!r}: {one_line(error)}"
                ) from error
            return Path(path).read_text(encoding="utf-8", errors="replace")

    return read


def difference(there: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """In what a model on the Hub is another one than ours, in words; None where it is the same work.

    Args:
        there: its record.
        ours: that of ours, as far as it is known; what of it would be published is compared.
    """
    if carries(ours, there):
        # The next request on the same model.
        return None
    ours = published(ours)

    def both(*keys: str) -> tuple[Any, Any]:
        values: list[Any] = [there, ours]
        for key in keys:
            values = [value.get(key) if isinstance(value, Mapping) else None for value in values]
        return values[0], values[1]

    def differ(*keys: str) -> bool | None:
        """None where one of the two does not say."""
        one, other = both(*keys)
        return None if one is None or other is None else one != other

    if differ("weights_sha256", "unlearned") is False:
        # Pushed again.
        return None
    theirs, request = (_bare(each) for each in both("request"))
    if theirs != request:
        return f"that forgot something else ({(there.get('request') or {}).get('text', 'unknown')})"
    original = differ("weights_sha256", "original")
    if original is None and both("original_model", "name")[1] == PRIVATE_MODEL:
        return (
            "of which nobody can tell whether it was made from the same original, since its record does not say which"
        )
    if original or (original is None and differ("original_model", "name")):
        return f"made from another original ({both('original_model', 'name')[0]})"
    if differ("dataset", "name") and differ("dataset", "dataset_fingerprint") is not False:
        return f"that forgot samples of another dataset ({both('dataset', 'name')[0]})"
    if not _tells_all(request):
        return "of which nobody can tell whether it forgot the same samples, since its record does not say which"
    return None


def _bare(request: Any) -> Any:
    return {name: value for name, value in request.items() if name != "text"} if isinstance(request, Mapping) else None


def _tells_all(request: Mapping[str, Any] | None) -> bool:
    """Whether the public form of a request says which samples are meant."""
    request = request or {}
    by_name = any(request.get(name) for name in ("classes", "subclasses", "dataset_config", "split"))
    return request.get("kind") != "samples" and (by_name or request.get("seed") is not None)
