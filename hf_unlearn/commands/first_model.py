"""A model that was unlearned before, asked once more: from the first model, with all requests together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_unlearn.commands.arguments import BEGINNINGS, ModelArguments, TestSetArguments, UnlearningDataArguments
from hf_unlearn.commands.loading import load_splits
from hf_unlearn.errors import UnlearningError
from hf_unlearn.request import ForgetRequest, UnlearningSplits

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedModel

    from hf_unlearn.models.revisions import Resolved

# Kinds of request that a record tells by names, which several can be put together of.
_NAMED = {"class": "classes", "subclass": "subclasses"}


class Beginning(NamedTuple):
    """The first model, and what it is to forget.

    Attributes:
        flags: how it is named.
        provenance: what the record says of where the run began.
    """

    flags: ModelArguments
    of_model: Resolved
    model: PreTrainedModel
    image_processor: BaseImageProcessor
    splits: UnlearningSplits
    provenance: dict[str, Any]


def find_beginning(
    begin_with: str,
    flags: ModelArguments,
    model: PreTrainedModel,
    earlier: Sequence[Mapping[str, Any]],
    request: ForgetRequest | None,
    splits: UnlearningSplits,
    data: UnlearningDataArguments,
    test: TestSetArguments,
) -> tuple[Beginning | None, str]:
    """The first model with all requests so far, if it and their samples can be had, and in words where the run begins.

    They can where all requests are of named classes, or of sub-classes of one column, in the dataset at hand. Others
    are in a ledger alone: see `hf-unlearn requests run`.

    Args:
        begin_with: of `BEGINNINGS`.
        flags, model: of the model that was unlearned before.
        earlier: the requests that it met, at least one.
        request, splits: the new one; None: its samples came alone.

    Returns:
        None for the model that was unlearned before.
    """
    on = "on from the model as the earlier requests left it"
    if begin_with != BEGINNINGS[0]:
        return None, on
    try:
        if request is None:
            raise UnlearningError("the samples came alone")
        found = _at_first_model(flags, model, earlier, _together(earlier, request, splits), data, test)
    except UnlearningError as error:
        return None, f"{on}: {error}"
    return found, f"at the first model, with {len(earlier)} earlier requests again: {found.splits.request.describe()}"


def allow_no_more(args: Any, earlier: Sequence[Mapping[str, Any]]) -> None:
    """Have no more published of requests that are met anew than was allowed when they were met first.

    Args:
        args: an `UnlearningConfig`; it is changed.
    """
    from hf_unlearn.publishing.secrecy import Disclosure

    before = Disclosure.of_all(earlier)
    args.publish_request = args.publish_request and before.request
    args.private_names = args.private_names or not before.names
    args.publish_private_sources = args.publish_private_sources and before.sources


def _at_first_model(
    flags: ModelArguments,
    model: PreTrainedModel,
    earlier: Sequence[Mapping[str, Any]],
    every: ForgetRequest,
    data: UnlearningDataArguments,
    test: TestSetArguments,
) -> Beginning:
    from hf_unlearn.evaluation.loading import record_of
    from hf_unlearn.models.pretrained import load_image_processor
    from hf_unlearn.models.revisions import resolve_revision
    from hf_unlearn.publishing.earlier import beginning, first_model, models_before, where_first

    found, why_not = first_model(earlier, model)
    if found is None:
        raise UnlearningError(why_not)
    name, revision = where_first(earlier)
    assert name is not None
    record = record_of(flags.model_name_or_path, flags.model_revision)
    digest = (record.get("weights_sha256") or {}).get("unlearned")
    return Beginning(
        dataclasses.replace(flags, model_name_or_path=name, model_revision=revision),
        resolve_revision(name, revision),
        found.requires_grad_(True),
        load_image_processor(name, revision=revision),
        load_splits(data, every, test),
        beginning("first", [*models_before(record), *([digest] if digest else [])]),
    )


def _together(earlier: Sequence[Mapping[str, Any]], request: ForgetRequest, splits: UnlearningSplits) -> ForgetRequest:
    field = _NAMED.get(request.kind)
    names: list[str] = []
    for number, each in enumerate(earlier, start=1):
        told = each.get("request") or {}
        said = f"which samples request {number} meant is not told beside the model"
        if field is None or told.get("kind") != request.kind or not told.get(field):
            raise UnlearningError(said)
        if told.get("subclass_column") != request.subclass_column:
            raise UnlearningError(f"request {number} was of another column ({told.get('subclass_column')!r})")
        if (each.get("dataset") or {}).get("dataset_fingerprint") != splits.fingerprint.dataset_fingerprint:
            raise UnlearningError(f"request {number} was of another dataset")
        names += told[field]
    assert field is not None
    # As the dataset spells them.
    own = splits.request.summary()[field]
    every: Any = {field: tuple(dict.fromkeys([*names, *own]))}
    return dataclasses.replace(request, **every)
