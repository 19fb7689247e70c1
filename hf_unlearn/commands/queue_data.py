"""What a queued request is of: its model and its samples, loaded from its flags."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from hf_unlearn.commands.arguments import (
    ForgetSetArguments,
    ModelArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
)
from hf_unlearn.commands.forget_set import check_forget_set, load_forget_set
from hf_unlearn.commands.loading import load_model, load_splits, pin
from hf_unlearn.commands.parsing import parse
from hf_unlearn.commands.request_flags import make_request
from hf_unlearn.errors import UnlearningError
from hf_unlearn.ledger.queue import Queue, QueuedRequest
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.kept import recognised_by


def model_entry(flags: Any) -> dict[str, Any]:
    """The model of a ledger, as its first entry says it; see [`hf_unlearn.ledger.queue.Queue.open`].

    Raises:
        UnlearningError: there is no such model.
    """
    from hf_unlearn.models.labels import id2label_of
    from hf_unlearn.models.weights import weights_digest
    from hf_unlearn.publishing.earlier import classes_forgotten, earlier_of

    pin(flags, None)
    name = flags.model_name_or_path
    model, _ = load_model(flags)
    labels = id2label_of(model.config)
    return {
        "name": os.path.abspath(name) if os.path.exists(name) else name,
        "revision": flags.model_revision,
        "weights_sha256": weights_digest(model),
        "labels": [labels[place] for place in sorted(labels)],
        "forgotten": classes_forgotten(earlier_of(name, model, flags.model_revision), model),
    }


def load_request(
    flags: Sequence[Any], newest: tuple[str, str | None, str] | None, model: Mapping[str, Any]
) -> UnlearningSplits:
    """The splits of a request.

    Args:
        flags: `UnlearningDataArguments`, `RequestArguments`, `ForgetSetArguments` and `TestSetArguments`.
        newest: name and revision of the model as it stands, which says what unlabelled samples are of.
        model: of the ledger.

    Raises:
        UnlearningError: the data is gone, or does not hold what was asked for.
    """
    data, request, forget, test = flags
    alone = check_forget_set(data, request, forget, test)
    pin(None, data, forget)
    if not alone:
        return load_splits(data, make_request(request), test)
    name, revision = newest[:2] if newest is not None else (model["name"], model["revision"])
    loading = ModelArguments(name, model_revision=revision, dtype="auto")
    return load_forget_set(data, forget, test, lambda: load_model(loading))


def classes_of(splits: UnlearningSplits, model: Mapping[str, Any]) -> list[str]:
    """The classes of the ledger's model that go with a request, by name.

    Raises:
        UnlearningError: the labels are not the model's.
    """
    class_ids = splits.class_ids(dict(enumerate(model["labels"])))
    gone = splits.forgotten_class_ids if splits.forget_kind == "class" else ()
    return [model["labels"][class_ids[label]] for label in gone]


def load_flags(flags: Mapping[str, Any], queue: Queue) -> UnlearningSplits:
    """The splits of flags that the ledger keeps.

    Raises:
        UnlearningError: as [`load_request`].
    """
    groups = (UnlearningDataArguments, RequestArguments, ForgetSetArguments, TestSetArguments)
    return load_request(parse("requests run", "", groups, None, None, as_words(flags)), queue.newest(), queue.model)


def load_again(request: QueuedRequest, queue: Queue) -> UnlearningSplits:
    """The splits of a request that was added before.

    Raises:
        UnlearningError: its data is gone, or is not what it was.
    """
    try:
        splits = load_flags(request.flags, queue)
        found = recognised_by(splits)
    except (UnlearningError, OSError) as error:
        raise UnlearningError(f"the data of request {request.number} cannot be had any more: {error}") from error
    if found["images_sha256"] != request.forget_set["images_sha256"]:
        raise UnlearningError(
            f"the data of request {request.number} has changed: of the {request.forget_set['num_forget']} samples that "
            f"were asked for it gives {found['num_forget']} others; expected the data as it was, or a new request"
        )
    return splits


def as_words(flags: Mapping[str, Any]) -> list[str]:
    """Flags as words of a command line."""
    words = []
    for name, value in flags.items():
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        words += [f"--{name}" if each is True else f"--{name}={each}" for each in values]
    return words
