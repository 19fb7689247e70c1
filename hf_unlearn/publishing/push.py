"""From a folder to the Hub: only what belongs there, in one commit, and read back afterwards."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hf_unlearn.errors import PublishingError, UnlearningError, one_line
from hf_unlearn.files import CARD_NAME, PLOTS, RECORD_NAME, write_text
from hf_unlearn.models.adapters import base_classifier
from hf_unlearn.models.known_keys import keep_known_keys
from hf_unlearn.models.own_code import code_files, missing_code
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.publishing.card import write_card
from hf_unlearn.publishing.commits import PUBLISHED, Files, publish, publish_on_the_way
from hf_unlearn.publishing.destination import Destination, find_destination
from hf_unlearn.publishing.patience import patience
from hf_unlearn.publishing.reading_back import ReadingBack
from hf_unlearn.publishing.record import read_record, request_met, write_record
from hf_unlearn.publishing.seal import sealed
from hf_unlearn.publishing.sources import mark_private


def push_folder(
    folder: str | os.PathLike,
    destination: str | Destination | None = None,
    *,
    commit_message: str = "Unlearned model",
    push_anyway: bool = False,
    private: bool | None = None,
    revision: str | None = None,
    replace: bool = False,
    token: str | None = None,
    trust_remote_code: bool = False,
    secrets: Sequence[str] = (),
) -> str:
    """Push an unlearned model to the Hub, once it was read back from there.

    The card is made anew from the folder's record. All files go in one commit, so the repository never holds a card of
    other weights. They go to a branch of their own first; `main` gets them once every file has come back with the same
    digest, and the model that they make has the same weights, labels, image processor, record and answers. A commit
    whose answer was lost is found by looking.

    Args:
        folder: what `hf-unlearn unlearn` or a trainer's `save_model` saved.
        destination: `organisation/name`, or a name alone for the user's own namespace; by default the folder's name.
            What [`find_destination`] gave is looked at no more.
        commit_message: of the one commit.
        push_anyway: even if the run's own figures say that the request was not met.
        private: whether the repository is to be private. True and False are checked on the Hub; None leaves it as it
            is, and a new one to the default of the user or organisation.
        revision: the branch to push to, made if it is not there; by default `main`.
        replace: replace whatever model or card is there, also one that forgot something else.
        token: for the Hub, by default that of the environment or the login.
        trust_remote_code: run code that lies beside the model; it is published with it.
        secrets: texts that must not be in any file, besides the token.

    Returns:
        The commit, 40 hexadecimal digits.

    Raises:
        UnlearningError: the folder is no unlearned model, its weights are not those of its record, the request was not
            met, there is no token that can write there, or the repository holds something else or is not private as
            asked for.
        PublishingError: the Hub did not take it, what came back is not what is here, or somebody else pushed meanwhile.
            The folder is whole, and the branch as it was, unless the message says otherwise.
    """
    folder = os.fspath(folder)
    record = read_record(folder)
    if not isinstance(destination, Destination):
        destination = destination_of(
            folder, destination, private=private, revision=revision, replace=replace, token=token
        )
    met, why = request_met(record)
    if not met and not push_anyway:
        raise UnlearningError(
            f"the request was not met, by the run's own figures ({why}); to publish it, --push_anyway"
        )
    if record.get("in_progress") and not push_anyway:
        raise UnlearningError("the run was not finished: the model still remembers; to publish it, --push_anyway")
    files, back = _prepared(folder, destination, trust_remote_code, secrets)
    try:
        with patience(), quiet_unless_terminal():
            return publish(files, destination, commit_message, partial(back.check, files, destination))
    except (PublishingError, OSError) as error:
        # Here a disk may be full, or a file of the folder gone.
        advice = f"the model is whole in {folder!r}, and hf-unlearn push {shlex.quote(folder)} tries again"
        raise PublishingError(f"{one_line(error, 1000)}; {advice}") from error


def push_on_the_way(
    folder: str, destination: Destination, branch: str, commit_message: str, trust_remote_code: bool = False
) -> str:
    """Push a model that is not finished to a branch of its own, and read it back; returns the commit.

    Raises:
        UnlearningError, PublishingError: as [`push_folder`].
    """
    files, back = _prepared(folder, destination, trust_remote_code, ())
    with patience(), quiet_unless_terminal():
        commit = publish_on_the_way(files, destination, commit_message, branch)
        back.check(files, destination, commit)
    return commit


def _prepared(
    folder: str, destination: Destination, trust_remote_code: bool, secrets: Sequence[str]
) -> tuple[Files, ReadingBack]:
    """What is sent, and what it is held against when it comes back."""
    local = load_image_classifier(folder, dtype="auto", trust_remote_code=trust_remote_code)
    if weights_digest(local) != read_record(folder)["weights_sha256"]["unlearned"]:
        raise UnlearningError(f"the weights in {folder!r} are not those that its {RECORD_NAME} describes")
    published_files(folder)
    # Somebody may have put something else there since it was saved.
    keep_known_keys(folder, base_classifier(local), load_image_processor(folder, trust_remote_code=trust_remote_code))
    back = ReadingBack(folder, local, trust_remote_code)
    try:
        if destination.private_sources:
            record = read_record(folder)
            mark_private(record, destination.private_sources)
            write_record(record, folder)
        write_card(folder, destination.repo_id)
        card = Path(folder, CARD_NAME)
        write_text(sealed(card.read_text(encoding="utf-8")), card)
    except OSError as error:
        raise UnlearningError(
            f"folder {folder!r} cannot be written to, where the card is made anew: {one_line(error)}"
        ) from error
    # The plots of the card are among them now.
    names = published_files(folder)
    check_secrets(folder, names, [*secrets, *([destination.token] if destination.token else [])])
    return Files(folder, names), back


def destination_of(
    folder: str,
    repo_id: str | None = None,
    *,
    private: bool | None = None,
    revision: str | None = None,
    replace: bool = False,
    token: str | None = None,
) -> Destination:
    """Where a folder is to go, checked as [`find_destination`] does; by default to a repository of the folder's name.

    Raises:
        UnlearningError, PublishingError: as [`find_destination`]; the folder holds no record.
    """
    name = repo_id or os.path.basename(os.path.abspath(folder))
    record = read_record(folder)
    return find_destination(name, private=private, revision=revision, replace=replace, token=token, record=record)


def published_files(folder: str) -> list[str]:
    """The files of a folder that may be published, as relative paths.

    Raises:
        UnlearningError: weights or image processor are missing.
    """
    root = Path(folder)
    code = code_files(folder)
    if missing := missing_code(folder):
        raise UnlearningError(
            f"folder {folder!r} names code of the model's own in its configuration (auto_map: {missing[0]!r}), and it "
            "does not lie there; nobody could use the model"
        )
    files = sorted(
        path.relative_to(root).as_posix()
        for path in (*root.glob("*"), *root.glob(f"{PLOTS}/*"))
        if path.is_file() and PUBLISHED.fullmatch(path.relative_to(root).as_posix())
    )
    files = [name for name in files if not name.endswith(".py") or name in code]
    if not any(name.endswith(".safetensors") for name in files):
        raise UnlearningError(f"folder {folder!r} holds no weights as safetensors; expected an unlearned model")
    if not any(name.startswith(("preprocessor", "processor")) for name in files):
        raise UnlearningError(
            f"folder {folder!r} holds no image processor (preprocessor_config.json); nobody could use the model"
        )
    return files


def check_secrets(folder: str, files: Sequence[str], secrets: Sequence[str]) -> None:
    """Refuse to publish text files in which one of `secrets`, or a token of the Hub, appears.

    Raises:
        UnlearningError: one does; the message names the file, not the secret.
    """
    token = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")
    for name in files:
        if not name.endswith((".json", ".md", ".py")):
            continue
        text = Path(folder, name).read_text(encoding="utf-8")
        if token.search(text) or any(secret in text for secret in secrets if len(secret) >= 6):
            raise UnlearningError(f"{name!r} in {folder!r} holds a secret; it was not published")
