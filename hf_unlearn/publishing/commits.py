"""Files to a branch of a repository in one commit, at most once, and nothing over what somebody else put there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, ModelInfo
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from hf_unlearn.errors import PublishingError, UnlearningError, one_line, warn_once
from hf_unlearn.files import CARD_NAME, PLOTS, RECORD_NAME
from hf_unlearn.models.hub import silence_of, tried
from hf_unlearn.models.saved import is_of_a_model
from hf_unlearn.publishing.destination import MAIN, Destination

# What a published model consists of. All else in the folder (checkpoints, reports, results) stays at home. The run's
# arguments are in the record, as far as they may be told.
PUBLISHED = re.compile(
    rf"(config|preprocessor_config|processor_config|adapter_config)\.json"
    rf"|(model|adapter_model)(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"
    # Of these, what the configurations name as the model's own code.
    rf"|\w+\.py"
    rf"|{re.escape(RECORD_NAME)}|{re.escape(CARD_NAME)}|{PLOTS}/\w+\.png"
)
_MOVED = "somebody else pushed to it meanwhile; look at what is there before you push again"


class Files:
    """The files of a folder as they are sent.

    Args:
        folder: where they lie.
        names: relative paths.
    """

    def __init__(self, folder: str, names: list[str]):
        self.folder = folder
        self.names = names
        self.sha256: dict[str, str] = {}
        self._oids: dict[str, str] = {}
        for name in names:
            path = Path(folder, name)
            with path.open("rb") as file:
                self.sha256[name] = sha_fileobj(file).hex()
            if path.stat().st_size < 2**24:
                # Larger ones are not git's own.
                self._oids[name] = git_hash(path.read_bytes())

    def stale(self, there: ModelInfo) -> list[str]:
        """The files of a repository that belong to another model than this one: weights in any form, plots..."""
        return sorted(name for name in _names(there) if self._is_a_models(name) and name not in self.names)

    def are(self, there: ModelInfo) -> bool:
        """Whether a repository holds exactly these, besides what belongs to no model.

        Args:
            there: with the digests of its files.
        """
        siblings = {each.rfilename: each for each in there.siblings or [] if self._is_a_models(each.rfilename)}
        if set(siblings) != set(self.names):
            return False
        for name, each in siblings.items():
            is_same = (
                each.lfs.sha256 == self.sha256[name] if each.lfs is not None else each.blob_id == self._oids.get(name)
            )
            if not is_same:
                return False
        return True

    def _is_a_models(self, name: str) -> bool:
        # Somebody may have put another script there.
        return is_of_a_model(name) or (
            PUBLISHED.fullmatch(name) is not None and (not name.endswith(".py") or name in self.names)
        )


def _names(there: ModelInfo) -> list[str]:
    return [each.rfilename for each in there.siblings or []]


def publish(files: Files, destination: Destination, message: str, check: Callable[[str], None]) -> str:
    """Send the files, have them checked as the Hub serves them, and then put them where they belong.

    They go to a branch of their own first, so what anybody sees at the destination has been checked. That branch is
    removed again in any case.

    Args:
        message: of the commit.
        check: called with a commit that holds the files; raises if it does not serve them.

    Returns:
        The commit at the destination.

    Raises:
        UnlearningError: the repository is public and should be private, or the other way round.
        PublishingError: the Hub did not take the files, does not serve them, or the destination has moved meanwhile.
            Unless the message says that they are there, the destination is as it was.
    """
    there = _repository(destination)
    if files.are(there):
        # Sent before, and the answer was lost; or nothing has changed since.
        check(str(there.sha))
        return str(there.sha)
    if there.sha != destination.head and not (destination.head is None and _is_new(there)):
        raise PublishingError(f"{destination.repo_id!r}: {_MOVED}")
    branch = f"hf-unlearn-{files.sha256[RECORD_NAME][:12]}"
    _asked(lambda: _make_branch(destination, branch, str(there.sha)))
    try:
        check(_commit(files, destination, branch, message, there))
        # Again: it may have been made public while the files went up.
        again = _asked(lambda: destination.look())
        destination.check_private(again.private)
        return _commit(files, destination, destination.revision, message, there)
    finally:
        remove_branch(destination, branch)


def publish_on_the_way(files: Files, destination: Destination, message: str, branch: str) -> str:
    """Send the files of a model that is not finished to a branch; returns the commit.

    Raises:
        UnlearningError, PublishingError: as [`publish`].
    """
    there = _repository(destination)
    _asked(lambda: _make_branch(destination, branch, str(there.sha), keep=True))
    return _commit(files, destination, branch, message, _asked(lambda: destination.look(branch)))


def remove_branch(destination: Destination, branch: str) -> None:
    """Remove a branch, if it is there; that it cannot be removed is a warning."""
    try:
        tried(lambda: destination.api.delete_branch(destination.repo_id, branch=branch))
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != 404:
            _warn_left(destination, branch, error)
    except Exception as error:
        _warn_left(destination, branch, error)


def _warn_left(destination: Destination, branch: str, error: Exception) -> None:
    warn_once(
        f"the branch {branch!r} of {destination.repo_id!r} could not be removed: {one_line(error, 150)}; "
        "nothing needs it, remove it by hand"
    )


def _asked(call: Callable[[], Any]) -> Any:
    """The answer to a call; what goes wrong is said as the Hub's fault."""
    try:
        return tried(call)
    except UnlearningError:
        raise
    except Exception as error:
        raise PublishingError(f"the Hub did not take the model: {one_line(error)}") from error


def _repository(destination: Destination) -> ModelInfo:
    """What is at the destination now; repository and branch are made if they are not there."""

    def look() -> ModelInfo:
        return destination.look(files=True)

    def make() -> ModelInfo:
        try:
            return look()
        except RepositoryNotFoundError:
            destination.api.create_repo(destination.repo_id, private=destination.private, exist_ok=True)
            return look()

    found: ModelInfo = _asked(make)
    destination.check_private(found.private)
    if destination.revision != MAIN:
        _asked(lambda: _make_branch(destination, destination.revision, MAIN, keep=True))
        found = _asked(look)
    return found


def _is_new(there: ModelInfo) -> bool:
    return set(_names(there)) <= {".gitattributes"}


def _make_branch(destination: Destination, branch: str, start: str, keep: bool = False) -> None:
    """A branch at a commit; one of this name that is there already is made anew, or kept."""
    api = destination.api
    try:
        api.create_branch(destination.repo_id, branch=branch, revision=start, exist_ok=keep)
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code != 409:
            raise
        api.delete_branch(destination.repo_id, branch=branch)
        api.create_branch(destination.repo_id, branch=branch, revision=start, exist_ok=True)


def _commit(files: Files, destination: Destination, branch: str, message: str, there: ModelInfo) -> str:
    """All files in one commit on a branch that is at `there`; returns the commit."""

    def send() -> str:
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(name, os.path.join(files.folder, name)) for name in files.names),
            *(CommitOperationDelete(name) for name in files.stale(there)),
        ]
        return destination.api.create_commit(
            destination.repo_id, operations, commit_message=message, revision=branch, parent_commit=there.sha
        ).oid

    asked: dict[str, bool] = {}

    def taken() -> str | None:
        """The branch's commit, if it holds the files: only the answer was lost."""
        try:
            found = destination.api.model_info(destination.repo_id, revision=branch, files_metadata=True)
        except Exception:
            asked["answered"] = False
            return None
        asked["answered"] = True
        return str(found.sha) if files.are(found) else None

    try:
        return tried(send, taken)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 412:
            raise PublishingError(f"{destination.repo_id!r}: {_MOVED}") from error
        if asked.get("answered") is False and silence_of(error) is not None and branch == destination.revision:
            raise PublishingError(
                f"whether the Hub took the model cannot be asked, since it does not answer: {one_line(error)}; what "
                "it may have taken was read back before"
            ) from error
        raise PublishingError(f"the Hub did not take the model: {one_line(error)}") from error
