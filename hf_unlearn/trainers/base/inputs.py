"""What a trainer is given, brought together before the `Trainer` sees it: model, processor, kind of request, pixels."""

from __future__ import annotations

import contextlib
import logging
import os
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import PixelDataset, pixels_of
from hf_unlearn.data.reading import as_pixels
from hf_unlearn.data.unlabelled import unlabelled_pixels
from hf_unlearn.errors import UnlearningError, there_are
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.models.own_code import has_own_code
from hf_unlearn.models.pretrained import load_image_processor
from hf_unlearn.models.revisions import is_loaded_from_hub
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.earlier import earlier_of, ids_forgotten, refuse_forgotten
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.label_mapping import LabelMapping

logger = logging.getLogger(__name__)

# The runs of this process whose models are still there: who unlearned a model in memory, and asks once more.
_runs: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()
# The same by digest of the weights that they left: their models may be copies by now, and their trainers gone.
_left: dict[str, list[dict[str, Any]]] = {}

# What becomes of the forgotten samples' classes, and in words.
FORGET_KINDS = {
    "class": "classes that vanish",
    "subclass": "a sub-class of a class that stays",
    "subset": "samples of classes that stay",
}


def refuse_other_types(args: Any, config_class: type, splits: Any) -> None:
    """Refuse a config of another method, and what is no splits.

    Raises:
        UnlearningError: it is.
    """
    if not isinstance(args, config_class):
        raise UnlearningError(f"args is a {type(args).__name__}; expected a {config_class.__name__}")
    if splits is not None and not isinstance(splits, UnlearningSplits):
        raise UnlearningError(
            f"splits is a {type(splits).__name__}; expected UnlearningSplits, as make_splits gives them, or a forget "
            "set as train_dataset=..., with forget_kind=..."
        )


def remember_run(model: PreTrainedModel, trainer: Any) -> None:
    """Know a model again that a trainer has unlearned, as long as both are there."""
    _runs[model] = weakref.ref(trainer)


def remember_weights(weights_sha256: str, requests: list[dict[str, Any]]) -> None:
    """Know weights again, whatever model has them, as long as this process goes on.

    Args:
        requests: those that a model with these weights met, the oldest first; at least one.
    """
    _left[weights_sha256] = requests


def find_earlier(
    model: PreTrainedModel, provenance: dict[str, Any], splits: UnlearningSplits | None
) -> list[dict[str, Any]]:
    """The requests that the model met before: those of its provenance, of the run that it comes from in this process,
    by the record in the folder or repository that it was loaded from, or of a run in this process that left the same
    weights, bit for bit.

    Raises:
        UnlearningError: it met this one already.
    """
    earlier = provenance.get("earlier")
    if not isinstance(model, PreTrainedModel):
        # What it is, is said when the trainer looks at what it was given.
        return earlier or []
    name = str(getattr(model, "name_or_path", "") or "")
    commit = getattr(model.config, "_commit_hash", None)
    run = _runs.get(model, lambda: None)()
    if earlier is None and run is not None:
        earlier = run.requests_met()
    elif earlier is None and (os.path.isdir(name) or is_loaded_from_hub(name, commit)):
        try:
            earlier = earlier_of(name, model, commit)
        except UnlearningError as error:
            # It was loaded from there, and is another one by now.
            logger.warning("%s", error)
    if not earlier and run is None and _left:
        # A copy, or one that was saved without its record.
        earlier = _left.get(weights_digest(model))
    if splits is not None:
        refuse_forgotten(earlier or [], splits, id2label_of(model.config))
    return earlier or []


def find_processor(
    given: Any, model: PreTrainedModel, named: tuple[str, str | None] | None, datasets: tuple[Any, ...], trusted: bool
) -> Any:
    """The image processor: the one that was given, that of the pixels, or the one that comes with the model.

    Args:
        named: name and revision that the model was loaded by; None: it was given as it is.
        datasets: what may have been made with a processor.
        trusted: whether code that comes with it is run.

    Returns:
        The processor; None if a model that was given as it is comes with none.

    Raises:
        UnlearningError: a model that was named comes without one.
    """
    if given is not None:
        return given
    if named is not None:
        return load_image_processor(named[0], revision=named[1], trust_remote_code=trusted)
    for dataset in datasets:
        if isinstance(dataset, PixelDataset):
            return dataset.image_processor
    config = getattr(model, "config", None)
    if name := getattr(config, "_name_or_path", None):
        with contextlib.suppress(UnlearningError):
            revision = getattr(config, "_commit_hash", None)
            # Whoever loaded the model has trusted the code that came with it.
            return load_image_processor(name, revision=revision, trust_remote_code=trusted or has_own_code(model))
    return None


def find_kind(splits: UnlearningSplits | None, given: str | None) -> str:
    """What becomes of the forgotten samples' classes: one of `FORGET_KINDS`.

    Raises:
        UnlearningError: nothing says it, or splits and `given` say different things.
    """
    if given is not None and given not in list(FORGET_KINDS):
        raise UnlearningError(f"forget_kind {given!r} is not one of {', '.join(map(repr, FORGET_KINDS))}")
    if splits is None:
        if given is None:
            raise UnlearningError(
                "nothing says whether the classes of the forget set are to vanish; expected splits, or forget_kind: "
                + ", ".join(f"{name!r} ({meaning})" for name, meaning in FORGET_KINDS.items())
            )
        return given
    if given not in (None, splits.forget_kind):
        raise UnlearningError(
            f"forget_kind is {given!r}, but by the splits it is {splits.forget_kind!r} "
            f"({FORGET_KINDS[splits.forget_kind]}); expected splits alone"
        )
    return splits.forget_kind


def refuse_labels_that_stay(method: str, kind: str) -> None:
    """Refuse a request that is not for whole classes, of a method that makes sense for these alone.

    Raises:
        UnlearningError: it is.
    """
    if kind != "class":
        raise UnlearningError(
            f"method {method!r} is for classes that vanish, but the request is for {FORGET_KINDS[kind]}; expected "
            "another method"
        )


def refuse_none_left(labels: torch.Tensor, earlier: torch.Tensor, num_labels: int) -> torch.Tensor:
    """Refuse a request after which no class is left; otherwise all that are gone then, those of `earlier` ones as well.

    Raises:
        UnlearningError: none is left.
    """
    gone = torch.cat([labels, earlier]).unique()
    if len(gone) == num_labels:
        raise UnlearningError(
            f"all {num_labels} classes are to be forgotten, now or by earlier requests; expected one or more that stay"
        )
    return gone


def part_of(splits: UnlearningSplits | None, part: str, given: Any) -> Any:
    """Forget or retain set: `given`, or where that is None the splits' own, as a `datasets` dataset.

    Args:
        part: `"forget"` or `"retain"`.
        given: a dataset, or None; with splits it must be theirs.

    Raises:
        UnlearningError: it is not, or there is no forget set.
    """
    own = None if splits is None else getattr(splits, part)
    if own is None:
        if part == "forget" and given is None:
            raise UnlearningError("there is nothing to forget; expected splits, or the forget set as train_dataset")
        return given
    if given is None or given is own or (isinstance(given, PixelDataset) and given.source is own):
        return own if given is None else given
    name = {"forget": "train_dataset", "retain": "retain_dataset"}[part]
    raise UnlearningError(f"{name} is not the {part} set of the splits; expected one of the two alone")


def refuse_empty(**parts: Any) -> None:
    """Refuse a dataset without a sample, and one of several splits.

    Args:
        **parts: datasets by what they are, or None.

    Raises:
        UnlearningError: one is empty.
    """
    for what, dataset in parts.items():
        if isinstance(dataset, Mapping):
            raise UnlearningError(
                f"the {what} set is a {type(dataset).__name__} of {there_are(dataset)}; expected one of its splits"
            )
        if hasattr(dataset, "__len__") and len(dataset) == 0:
            raise UnlearningError(f"the {what} set is empty; expected at least one sample")


def read(
    dataset: Any,
    model: PreTrainedModel,
    processor: Any,
    splits: UnlearningSplits | None,
    columns: tuple[str | None, str | None],
    mapping: LabelMapping | os.PathLike | None = None,
) -> Any:
    """A dataset, or several by name, as the model eats them.

    Args:
        splits: of the request, if there are any. What is one of them is read as such, and their columns are looked for
            in other datasets.
        columns: names of the image and the label column, where these are not found.
        mapping: the labels as the model names them; by default that of the splits.

    Raises:
        UnlearningError: no such column, a label that the model does not have, or no image processor.
    """
    if isinstance(dataset, dict):
        return {name: read(part, model, processor, splits, columns, mapping) for name, part in dataset.items()}
    if splits is None or dataset is None:
        return as_pixels(dataset, model, processor, *columns, mapping)
    for part in ("forget", "retain", "test"):
        if dataset is getattr(splits, part):
            return pixels_of(splits, part, model, processor)
    there = getattr(dataset, "column_names", None) or ()
    own = (name if name in there else None for name in (splits.image_column, splits.label_column))
    image, label = (given or usual for given, usual in zip(columns, own, strict=True))
    return as_pixels(dataset, model, processor, image, label, splits.label_mapping if mapping is None else mapping)


def read_references(
    dataset: Any,
    model: PreTrainedModel,
    processor: Any,
    splits: UnlearningSplits | None = None,
    columns: tuple[str | None, str | None] = (None, None),
    mapping: LabelMapping | os.PathLike | None = None,
) -> Any:
    """Reference samples as the model eats them, with labels or without (see [`hf_unlearn.data.unlabelled_pixels`]).

    Arguments and errors as for [`read`].
    """
    own = (None, None) if splits is None else (splits.image_column, splits.label_column)
    image, label = (given or usual for given, usual in zip(columns, own, strict=True))
    unlabelled = unlabelled_pixels(dataset, model, processor, image, label)
    return read(dataset, model, processor, splits, columns, mapping) if unlabelled is None else unlabelled


def without_earlier(
    retain: Any,
    earlier: list[dict[str, Any]],
    splits: UnlearningSplits | None,
    model: PreTrainedModel,
    processor: Any,
) -> Any:
    """The retained samples without those of classes that went with earlier requests, which they would teach again.

    Args:
        retain: as [`read`] gives it; what is not of `splits` stays as it is.
    """
    gone = torch.tensor(ids_forgotten(earlier), dtype=torch.long)
    if splits is None or not isinstance(retain, PixelDataset) or not torch.isin(retain.labels, gone).any():
        return retain
    rows = torch.isin(retain.labels, gone, invert=True).nonzero().squeeze(1).tolist()
    return pixels_of(splits, "retain", model, processor, rows)
