"""The models of a comparison, by name, folder or as they are, and what their makers wrote beside them."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from torch import nn
from transformers import BaseImageProcessor, PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.files import RECORD_NAME, TRAIN_RESULTS_NAME
from hf_unlearn.models.adapters import find_file, is_adapter
from hf_unlearn.models.own_code import has_own_code
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.models.revisions import is_loaded_from_hub
from hf_unlearn.names import is_hub_name, public_name
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.kept import is_forget_set, read_forget_set, with_withheld

AnyModel: TypeAlias = "str | os.PathLike | PreTrainedModel | Contestant"


def as_contestant(
    model: AnyModel,
    what: str,
    *,
    revision: str | None = None,
    processing_class: BaseImageProcessor | None = None,
    token: str | None = None,
    trust_remote_code: bool = False,
    **loading: Any,
) -> Contestant:
    """A model with its image processor. What is an adapter (PEFT) becomes one model with its base, as any other.

    Args:
        model: a name on the Hub, a folder, a model, or one with its image processor, which is taken as it is.
        what: its part in the comparison, for messages.
        revision: of a name on the Hub.
        processing_class: of a model that is given as such; by default the one found by the name that it bears.
        loading: goes to [`load_image_classifier`].

    Raises:
        UnlearningError: it cannot be loaded, is no image classifier, or comes without an image processor.
    """
    if isinstance(model, Contestant):
        return model
    found: dict[str, Any] = {"token": token, "trust_remote_code": trust_remote_code}
    if isinstance(model, (str, os.PathLike)):
        name = os.path.expanduser(os.fspath(model))
        # What is measured is what the model answers and how it relearns, with all its weights.
        loaded = load_image_classifier(name, revision=revision, merge_adapter=True, **found, **loading)
        processor = load_image_processor(name, revision=revision, **found)
        return Contestant(name, loaded, processor, public_name(name, is_hub_name(name)))
    if not hasattr(model, "config") or not callable(model):
        raise UnlearningError(
            f"the {what} model is a {type(model).__name__}; expected a name on the Hub, a folder or an image classifier"
        )
    adapted = is_adapter(model)
    name = "" if adapted else str(getattr(model, "name_or_path", "") or "")
    if processing_class is None:
        if not name:
            raise UnlearningError(
                f"the {what} model was made in memory; expected processing_class, its image processor"
            )
        found["trust_remote_code"] = trust_remote_code or has_own_code(model)
        processing_class = load_image_processor(name, revision=getattr(model.config, "_commit_hash", None), **found)
    whole = copy.deepcopy(model).merge_and_unload().eval() if adapted else model  # type: ignore[operator]
    from_hub = is_loaded_from_hub(name, getattr(model.config, "_commit_hash", None))
    shown = public_name(name, from_hub) if name else str(model.config.model_type)
    return Contestant(name or shown, cast(PreTrainedModel, whole), processing_class, shown)


@contextlib.contextmanager
def left_as_they_were(models: Sequence[nn.Module]) -> Iterator[None]:
    """Afterwards the models are where they were, and in train or eval mode as they were."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    places = [(model, parameter.device) for model in models for parameter in list(model.parameters())[:1]]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for model, device in places:
            model.to(device)


# Fields of a record that others rely on, by their type.
_OF_A_RECORD = {"weights_sha256": dict, "earlier": list, "method": dict, "request": dict}


def record_of(model: AnyModel | None, revision: str | None = None, token: str | None = None) -> dict[str, Any]:
    """The `unlearning.json` that a model comes with, from its folder or repository; empty where there is none.

    Raises:
        UnlearningError: there is one that cannot be read. It says what the model forgot, which must not be lost.
    """
    if not isinstance(model, (str, os.PathLike)):
        return {}
    loading = {"revision": revision, "token": token}
    name = os.path.expanduser(os.fspath(model))
    path = find_file(name, RECORD_NAME, loading)
    # Of a model on the Hub there is what was published, of one here all of it.
    if path is None:
        return {}
    record = _read_json(path)
    if not record or any(not isinstance(record.get(field, kind()), kind) for field, kind in _OF_A_RECORD.items()):
        raise UnlearningError(
            f"the {RECORD_NAME} of model {name!r} is no record of an unlearned model, so what the model forgot before "
            f"cannot be told; expected the file as it was written, or none"
        )
    return with_withheld(record, name)


def original_of(
    named: AnyModel | None, revision: str | None, record: Mapping[str, Any]
) -> tuple[AnyModel, str | None] | None:
    """The original model and its revision: the one that was named, else the one of the Hub that the record names.

    Args:
        revision: if it was named, too; otherwise a model that the record names is meant as it was then.
    """
    held: Any = record.get("original_model")
    recorded = held if isinstance(held, dict) and held.get("from_hub") and held.get("name") else {}
    if named is None:
        return (str(recorded["name"]), revision or recorded.get("revision")) if recorded else None
    return named, revision or (recorded.get("revision") if recorded.get("name") == named else None)


def recorded_seconds(record: Mapping[str, Any], references: Iterable[AnyModel]) -> dict[str, float]:
    """How long unlearning took, and retraining in the mean, as far as the models' makers wrote it down.

    Of a reference it is what `hf-unlearn train` or `unlearn --method retrain` wrote.
    """
    seconds = {"unlearned": _positive(record.get("seconds"))}
    trainings = [_training_seconds(reference) for reference in references]
    known = [each for each in trainings if each is not None]
    if trainings and len(known) == len(trainings):
        seconds["retrained"] = sum(known) / len(known)
    return {role: value for role, value in seconds.items() if value is not None}


def check_request(
    model: AnyModel, what: str, record: Mapping[str, Any], splits: UnlearningSplits, other_request: bool = False
) -> bool | None:
    """Whether a model was made for the forget set of these splits; None where what lies beside it does not say.

    Raises:
        UnlearningError: it was made for another one, unless `other_request`.
    """
    kept = read_forget_set(os.path.expanduser(model)) if isinstance(model, (str, os.PathLike)) else {}
    same = is_forget_set(splits, kept, record)
    if same is False and not other_request:
        text = kept.get("text") or (record.get("request") or {}).get("text") or "something else"
        size = kept.get("num_forget", record.get("num_forget"))
        made = "trained without" if what == "reference" else "made to forget"
        raise UnlearningError(
            f"the {what} model {str(model)!r} was {made} another set: {text} ({size} samples); this request is "
            f"{splits.request.describe()} ({len(splits.forget)} samples). Expected the same request, or "
            "--other_request (other_request=True) to look at it all the same"
        )
    return same


def _training_seconds(reference: AnyModel) -> float | None:
    if not isinstance(reference, (str, os.PathLike)):
        return None
    path = os.path.join(os.path.expanduser(os.fspath(reference)), TRAIN_RESULTS_NAME)
    record = record_of(reference)
    retrained = (record.get("method") or {}).get("name") == "retrain"
    return _positive(_read_json(path).get("train_runtime")) or (_positive(record.get("seconds")) if retrained else None)


def _positive(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and value > 0 else None


def _read_json(path: str) -> dict[str, Any]:
    """What a JSON file holds, or nothing if it is not there or no object."""
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}
