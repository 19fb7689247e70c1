"""What came of a run: the judgement, both models, and what can be done with the result."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.app.uploads import check_picture
from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import CERTIFICATE_NAME, CERTIFICATE_PAGE, replacing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hf_unlearn.evaluation.report.results import Comparison

# Answers of a model to one picture.
MOST_ANSWERS = 5


@dataclass
class Outcome:
    """A finished run.

    Attributes:
        folder: what was saved, and where the report lies.
        models: `before` and `after`.
        comparison: None where the judging failed; `why_not_judged` says why.
        lines: further things to know.
    """

    folder: str
    models: dict[str, PreTrainedModel]
    image_processor: Any
    comparison: Comparison | None
    why_not_judged: str | None
    lines: Sequence[str]


def answers_to(path: str, outcome: Outcome, max_upload_mb: int) -> dict[str, list[tuple[str, float]]]:
    """What both models say of a picture: for each the likeliest labels with their shares, percent.

    Raises:
        UnlearningError: it is no picture that can be read, or that the models take.
    """
    from datasets import Dataset, Features, Image

    from hf_unlearn.evaluation.answers import logits_of
    from hf_unlearn.evaluation.metrics.divergences import log_softmax
    from hf_unlearn.models.labels import id2label_of

    check_picture(path, max_upload_mb)
    images = Dataset.from_dict({"image": [path]}, features=Features({"image": Image()}))
    names = id2label_of(outcome.models["before"].config)
    answers = {}
    for role, logits in logits_of(images, outcome.models, outcome.image_processor, "image").items():
        shares = 100 * np.exp(log_softmax(logits))[0]
        best = np.argsort(-shares, kind="stable")[:MOST_ANSWERS]
        answers[role] = [(names.get(int(each), str(each)), float(shares[each])) for each in best]
    return answers


def packed(folder: str, place: str) -> str:
    """A .zip of what may be published of a saved model, in the folder `place`; no forget sample and no report is in it.

    Raises:
        UnlearningError: it is no saved model.
    """
    from hf_unlearn.publishing.push import published_files

    path = os.path.join(place, f"{os.path.basename(folder)}.zip")
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in published_files(folder):
            archive.write(os.path.join(folder, name), f"{os.path.basename(folder)}/{name}")
    return path


def push(folder: str, repo_id: str, private: bool | None, hides_names: bool, replaces: bool) -> list[str]:
    """Publish a saved model as `hf-unlearn push` does, with all of its guards; what there is to say of it.

    The token is that of the login of whoever started the page.

    Raises:
        UnlearningError: no place was named, there is something else there, or the request was not met.
        PublishingError: the Hub failed; the folder is whole.
    """
    from hf_unlearn.commands.push import DisclosureArguments, disclose
    from hf_unlearn.commands.terminal import loading_line
    from hf_unlearn.publishing.push import destination_of, push_folder

    if not repo_id.strip():
        raise UnlearningError("no repository was named; expected organisation/name, or a name of your own")
    disclose(folder, DisclosureArguments(private_names=True if hides_names else None))
    destination = destination_of(folder, repo_id.strip(), private=private, replace=replaces)
    commit = push_folder(folder, destination)
    return [
        f"Pushed to {destination.repo_id} at {commit}",
        "read back file by file, and it answers the same: verified",
        loading_line(folder, destination.repo_id).strip(),
    ]


def certify(folder: str, key: str) -> list[str]:
    """Sign what was done, as `hf-unlearn certificate` does; the paths of certificate and page.

    Args:
        key: a PEM file with an Ed25519 private key.

    Raises:
        UnlearningError: no such key, or what cannot be certified.
    """
    from hf_unlearn.commands.certificate import ledger_entry
    from hf_unlearn.publishing.certificate import write_certificate

    write_certificate(folder, key, ledger_entry(folder))
    return [os.path.join(folder, name) for name in (CERTIFICATE_NAME, CERTIFICATE_PAGE)]
