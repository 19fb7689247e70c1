"""What a model forgot before: the requests so far, which its record carries on from model to model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.loading import record_of
from hf_unlearn.files import RECORD_NAME
from hf_unlearn.models.adapters import is_adapter
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.kept import is_forget_set, read_forget_set

# What a record says of an earlier request; `checks` are this model's on it, and `kept` recognises its samples and
# stays at home.
_OF_A_REQUEST = (
    *("schema_version", "disclosure", "method", "original_model", "request", "dataset", "whole_classes"),
    *("forgotten_class_ids", "num_forget", "num_forget_band", "retain_free", "data_used", "weights_sha256"),
    *("takes_place_of",),
)


def earlier_of(
    name: str, model: PreTrainedModel, revision: str | None = None, token: str | None = None
) -> list[dict[str, Any]]:
    """The requests that a model forgot already, the oldest first, by the record that comes with it; none without one.

    Args:
        name: on the Hub, or a folder.
        model: loaded from there.

    Raises:
        UnlearningError: the record is of other weights, so nobody can tell what these forgot.
    """
    record = record_of(name, revision, token)
    if not record.get("weights_sha256"):
        return []
    digest = record["weights_sha256"].get("unlearned")
    same_type = record.get("dtype") == str(model.dtype).removeprefix("torch.")
    if digest is not None and same_type and digest != weights_digest(model):
        raise UnlearningError(
            f"the weights of {name!r} are not those that its {RECORD_NAME} describes: what they forgot before cannot "
            f"be told; expected the model as it was saved, or no {RECORD_NAME} beside it"
        )
    return requests_of(record, read_forget_set(name), model)


def requests_of(record: Mapping[str, Any], kept: Mapping[str, Any], model: PreTrainedModel) -> list[dict[str, Any]]:
    """The requests that the model of a record met, the oldest first; one that was not finished is none.

    Args:
        kept: what recognises the samples of the last one, as [`read_forget_set`] gives it.
    """
    # What was measured is of the model as it was then.
    measured = ("checks", "evaluation")
    before = [
        {field: value for field, value in each.items() if field not in measured} for each in record.get("earlier") or ()
    ]
    if record.get("in_progress"):
        # It was not met, so it is still to be forgotten.
        return before
    own = {field: record[field] for field in _OF_A_REQUEST if field in record}
    own["kept"] = dict(kept)
    if "forgotten_class_ids" not in own and record.get("whole_classes"):
        # A record of before these were kept.
        named = [str(each) for each in (record.get("request") or {}).get("classes", ())]
        own["forgotten_class_ids"] = [place for place, label in id2label_of(model.config).items() if label in named]
    return [*before, own]


def ids_forgotten(earlier: Sequence[Mapping[str, Any]]) -> list[int]:
    """The ids of the classes that went with earlier requests, as far as they are known."""
    return sorted({place for each in earlier for place in each.get("forgotten_class_ids") or ()})


def classes_forgotten(earlier: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> list[str]:
    """The same by name."""
    labels = id2label_of(model.config)
    return [labels[place] for place in ids_forgotten(earlier) if place in labels]


def first_model(earlier: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> tuple[PreTrainedModel | None, str]:
    """The model that the first of some requests began with, frozen, or None and why it cannot be had.

    Args:
        earlier: from [`earlier_of`], at least one.
        model: as it is now: the first one is loaded in its precision, to where it is.
    """
    if is_adapter(model):
        return None, "what is unlearned is an adapter"
    name, revision = where_first(earlier)
    digest = (earlier[0].get("weights_sha256") or {}).get("original")
    if name is None or digest is None:
        return None, "the record does not say where it is"
    try:
        found = load_image_classifier(name, revision=revision, dtype=model.dtype)
        if weights_digest(found) != digest:
            return None, f"{name!r} holds other weights by now"
    except UnlearningError as error:
        return None, str(error)
    return found.requires_grad_(False).eval().to(model.device), ""  # type: ignore[arg-type]


def where_first(earlier: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """Name and revision of the model that the first of some requests began with; of one here its folder, as far as it
    was kept beside the model; None where nothing says it.
    """
    held = earlier[0].get("original_model") or {}
    if held.get("from_hub") and held.get("name"):
        return str(held["name"]), held.get("revision")
    return (earlier[0].get("kept") or {}).get("original_model"), None


def refuse_forgotten(
    earlier: Sequence[Mapping[str, Any]], splits: UnlearningSplits, id2label: Mapping[int, str]
) -> None:
    """Refuse a request that a model met already, a class that is gone, and a request that leaves no class.

    Raises:
        UnlearningError: the same samples were forgotten before, or all of a class; no class would be left.
    """
    gone_now = splits.forgotten_class_ids if splits.forget_kind == "class" else ()
    if not earlier and len(gone_now) < len(id2label):
        return
    class_ids = splits.class_ids(id2label)
    own = {class_ids[label] for label in gone_now}
    before = {*ids_forgotten(earlier)}
    if own and len(own | before) >= len(id2label):
        forgot = f"it forgot {len(before)} of {len(id2label)} before, and " if before else ""
        raise UnlearningError(
            f"every class of the model would be gone: {forgot}this request leaves next to no sample of "
            f"{'the others' if before else 'any'}; expected one or more classes that stay"
        )
    for number, each in enumerate(earlier, start=1):
        said = f"by request {number} of {len(earlier)} that this model met ({text_of(each)})"
        if gone := own & set(each.get("forgotten_class_ids") or ()):
            raise UnlearningError(
                f"class {id2label[min(gone)]!r} was forgotten before, {said}; expected classes that are still there"
            )
        if is_forget_set(splits, each.get("kept") or {}, each):
            raise UnlearningError(f"these {len(splits.forget)} samples were forgotten before, {said}")


def beginning(begins_with: str, takes_place_of: Sequence[str] = ()) -> dict[str, Any]:
    """What a record says of where a run began that is not the first on its model.

    Args:
        begins_with: `"first"`: at the first model of all, with all requests so far; `"newest"`: at the model as the
            requests before had left it.
        takes_place_of: digests of the models whose requests it met anew.
    """
    return {"begins_with": begins_with, "takes_place_of": list(dict.fromkeys(takes_place_of))}


def models_before(record: Mapping[str, Any]) -> list[str]:
    """Digests of all models that a model came of, or whose requests it met anew; of what its record knows."""
    links = record.get("earlier") or ()
    known = [digest for each in (record, *links) for digest in each.get("takes_place_of") or ()]
    return [*known, *filter(None, ((each.get("weights_sha256") or {}).get("unlearned") for each in links))]


def text_of(request: Mapping[str, Any]) -> str:
    """An earlier request in words."""
    return str((request.get("request") or {}).get("text") or "something that is not known")


def carries(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether a model is one that came of another: it forgot all that the other did, and more.

    Args:
        ours: the whole record of the one, not what is published of it. Models whose requests it met anew, from the
            first model, are in its `takes_place_of`.
        theirs: what is published of the other's.
    """
    digest = (theirs.get("weights_sha256") or {}).get("unlearned")
    return digest is not None and digest in models_before(ours)
