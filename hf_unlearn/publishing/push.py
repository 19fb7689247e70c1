"""From a folder to the Hub: only what belongs there, in one commit, and read back afterwards."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.utils.sha import git_hash, sha_fileobj
from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.data.processing import to_pixels
from hf_unlearn.errors import PublishingError, UnlearningError, one_line
from hf_unlearn.files import RECORD_NAME
from hf_unlearn.models.adapters import ADAPTER_NAME, is_adapter
from hf_unlearn.models.own_code import code_files
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.card import CARD_NAME, PLOTS, write_card
from hf_unlearn.publishing.destination import Destination, find_destination
from hf_unlearn.publishing.patience import patience
from hf_unlearn.publishing.record import read_record, request_met

# What a published model consists of. All else in the folder (checkpoints, reports, results) stays at home.
PUBLISHED = re.compile(
    rf"(config|preprocessor_config|processor_config|adapter_config|training_args)\.json"
    rf"|(model|adapter_model)(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"
    # Of these, what the configurations name as the model's own code.
    rf"|\w+\.py"
    rf"|{re.escape(RECORD_NAME)}|{re.escape(CARD_NAME)}|{PLOTS}/\w+\.png"
)
TRIES = 3
SAMPLES = 4


def push_folder(
    folder: str | os.PathLike,
    destination: str | Destination | None = None,
    *,
    commit_message: str = "Unlearned model",
    push_anyway: bool = False,
    private: bool | None = None,
    token: str | None = None,
    trust_remote_code: bool = False,
    secrets: Sequence[str] = (),
) -> str:
    """Push an unlearned model to the Hub and read it back.

    The card is made anew from the folder's record. All files go in one commit, so the repository never holds a card of
    other weights. A commit whose answer was lost is found by looking.

    Args:
        folder: what `hf-unlearn unlearn` or a trainer's `save_model` saved.
        destination: `organisation/name`, or a name alone for the user's own namespace; by default the folder's name.
            What [`find_destination`] gave is looked at no more.
        commit_message: of the one commit.
        push_anyway: even if the run's own figures say that the request was not met.
        private: create the repository private.
        token: for the Hub, by default that of the environment or the login.
        trust_remote_code: run code that lies beside the model; it is published with it.
        secrets: texts that must not be in any file, besides the token.

    Returns:
        The commit, 40 hexadecimal digits.

    Raises:
        UnlearningError: the folder is no unlearned model, its weights are not those of its record, the request was not
            met, there is no token that can write there, or the repository holds something else.
        PublishingError: the Hub did not take it, or what came back is not what is here. The folder is whole.
    """
    folder = os.fspath(folder)
    record = read_record(folder)
    if not isinstance(destination, Destination):
        destination = destination_of(folder, destination, private=private, token=token)
    met, why = request_met(record)
    if not met and not push_anyway:
        raise UnlearningError(
            f"the request was not met, by the run's own figures ({why}); to publish it, --push_anyway"
        )
    if record.get("in_progress") and not push_anyway:
        raise UnlearningError("the run was not finished: the model still remembers; to publish it, --push_anyway")
    local = load_image_classifier(folder, dtype="auto", trust_remote_code=trust_remote_code)
    if weights_digest(local) != record["weights_sha256"]["unlearned"]:
        raise UnlearningError(f"the weights in {folder!r} are not those that its {RECORD_NAME} describes")
    write_card(folder, destination.repo_id)
    files = published_files(folder)
    check_secrets(folder, files, [*secrets, *([destination.token] if destination.token else [])])
    with patience():
        commit = _commit(folder, files, destination, commit_message)
    verify(folder, local, destination, commit, trust_remote_code)
    return commit


def destination_of(
    folder: str, repo_id: str | None = None, *, private: bool | None = None, token: str | None = None
) -> Destination:
    """Where a folder is to go, checked as [`find_destination`] does; by default to a repository of the folder's name.

    Raises:
        UnlearningError, PublishingError: as [`find_destination`]; the folder holds no record.
    """
    request = {name: value for name, value in (read_record(folder)["request"] or {}).items() if name != "text"}
    name = repo_id or os.path.basename(os.path.abspath(folder))
    return find_destination(name, private=private, token=token, request=request or None)


def published_files(folder: str) -> list[str]:
    """The files of a folder that may be published, as relative paths.

    Raises:
        UnlearningError: weights or image processor are missing.
    """
    root = Path(folder)
    code = code_files(folder)
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


def verify(
    folder: str, local: PreTrainedModel, destination: Destination, commit: str, trust_remote_code: bool = False
) -> None:
    """Load the model back from the Hub at `commit`, and hold its answers against the local ones.

    An adapter is put onto the base that it has here: the base is not what was pushed.

    Raises:
        PublishingError: it cannot be loaded, or answers differently.
    """
    name = f"{destination.repo_id!r} at {commit[:12]}"
    with tempfile.TemporaryDirectory() as scratch:
        # Not the cache of the Hub: what is in it need not have come from there.
        settings: dict[str, Any] = {"revision": commit, "token": destination.token, "cache_dir": scratch}
        settings["trust_remote_code"] = trust_remote_code
        base = cast(Any, local).peft_config[ADAPTER_NAME].base_model_name_or_path if is_adapter(local) else None
        try:
            remote = load_image_classifier(destination.repo_id, dtype="auto", base_model=base, **settings)
            processor = load_image_processor(destination.repo_id, **settings)
        except Exception as error:
            raise PublishingError(
                f"pushed to {name}, but it cannot be loaded back: {one_line(error)}; try hf-unlearn push {folder}"
            ) from error
        if processor.to_dict() != load_image_processor(folder, trust_remote_code=trust_remote_code).to_dict():
            raise PublishingError(f"pushed to {name}, but its image processor is another than in {folder!r}")
        pixels = _some_pixels(local, processor)
        with torch.no_grad():
            ours, theirs = (model.eval()(pixel_values=pixels)["logits"] for model in (local, remote))
    if not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5):
        raise PublishingError(
            f"pushed to {name}, but the model there answers differently from the one in {folder!r} (by up to "
            f"{float((ours - theirs).abs().max()):.3g}); try hf-unlearn push {folder}"
        )


def _some_pixels(model: PreTrainedModel, processor: BaseImageProcessor) -> torch.Tensor:
    """Images of noise: of the forget set nothing is needed here."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    num_channels = getattr(model.config, "num_channels", 3)
    # An image processor that does not resize leaves it to the images to have the model's size.
    size = getattr(model.config, "image_size", None)
    height, width = (size, size) if isinstance(size, int) else size or (64, 64)
    noise = rng.integers(0, 256, (SAMPLES, height, width, 3), dtype=np.uint8)
    images = [Image.fromarray(each).convert("L" if num_channels == 1 else "RGB") for each in noise]
    return to_pixels(processor, images, num_channels).to(model.dtype)


def _commit(folder: str, files: Sequence[str], destination: Destination, message: str) -> str:
    """All files in one commit, tried a few times; returns the commit."""
    problem: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(2.0**attempt / 2)
        try:
            # Asked again after a failure: it may have been taken, and only the answer lost.
            found = _taken(folder, files, destination) if attempt else None
            if found is not None:
                return found
            api = destination.api
            api.create_repo(destination.repo_id, private=destination.private, exist_ok=True)
            there = set(api.list_repo_files(destination.repo_id))
            stale = [name for name in sorted(there) if _is_ours(name, files) and name not in files]
            operations: list[CommitOperationAdd | CommitOperationDelete] = [
                *(CommitOperationAdd(name, os.path.join(folder, name)) for name in files),
                *(CommitOperationDelete(name) for name in stale),
            ]
            return api.create_commit(destination.repo_id, operations, commit_message=message).oid
        except Exception as error:
            # Whatever the transport raises: the folder is whole, and the next try or command goes on.
            problem = error
    found = _taken(folder, files, destination)
    if found is not None:
        return found
    why = "no answer" if problem is None else one_line(problem)
    raise PublishingError(
        f"the Hub did not take the model: {why}; it is whole in {folder!r}, and hf-unlearn push {folder} tries again"
    ) from problem


def _is_ours(name: str, files: Sequence[str]) -> bool:
    """Whether a file of a repository is one of a model's, of this one's `files` or of an earlier one's."""
    # Somebody may have put another script there.
    return PUBLISHED.fullmatch(name) is not None and (not name.endswith(".py") or name in files)


def _taken(folder: str, files: Sequence[str], destination: Destination) -> str | None:
    """As [`_commit_with_these_files`], and None where the Hub does not say."""
    try:
        return _commit_with_these_files(folder, files, destination)
    except Exception:
        return None


def _commit_with_these_files(folder: str, files: Sequence[str], destination: Destination) -> str | None:
    """The newest commit of the repository, if it holds exactly these files."""
    info = destination.api.model_info(destination.repo_id, files_metadata=True)
    there = {each.rfilename: each for each in info.siblings or [] if _is_ours(each.rfilename, files)}
    if set(there) != set(files):
        return None
    for name, remote in there.items():
        path = Path(folder, name)
        sha256 = remote.lfs.sha256 if remote.lfs is not None else None
        if sha256 is not None:
            with path.open("rb") as file:
                if sha256 != sha_fileobj(file).hex():
                    return None
        elif remote.blob_id != git_hash(path.read_bytes()):
            return None
    return info.sha
