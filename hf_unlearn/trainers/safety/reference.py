"""Reference samples: some that the model was not trained on, or that it may keep, beside the forget set."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.trainers.safety.samples import Sample
from hf_unlearn.trainers.safety.siblings import what_siblings_teach

# So many are looked at, evenly spaced, fewer where they would take more than a quarter of a GiB.
MOST_REFERENCES = 1000
_MOST_VALUES = 2**26
# With fewer a level of confidence says nothing: they only hold the model to its answers.
LEAST_REFERENCES = 20
ASKS_FOR_REFERENCES = (
    "what other sub-classes teach of the label cannot be read off the forget set: with samples of them "
    "(reference_dataset, --reference_split) it can"
)
TOO_FEW = (
    "{size} reference samples are too few to read off them how sure a model is of what it never saw; expected at least "
    f"{LEAST_REFERENCES}. They hold the model to its answers, and no more"
)


def take_references(references: Any, size: int, model: PreTrainedModel, gone: torch.Tensor) -> Sample:
    """The reference samples that a run looks at, as `model` takes them.

    Args:
        references: items of `{"pixel_values", "labels"}`, `size` of them, 1 at the least.
        gone: ids of the classes that went with earlier requests, which they are not to teach again.

    Raises:
        UnlearningError: all of them are of such classes.
    """
    values = torch.as_tensor(references[0]["pixel_values"]).numel()
    taken = Sample.of(references, size, model, min(MOST_REFERENCES, max(LEAST_REFERENCES, _MOST_VALUES // values)))
    stay = torch.isin(taken.labels, gone.to(taken.labels.device), invert=True)
    if not bool(stay.any()):
        raise UnlearningError(
            f"all of {size} reference samples are of classes that were forgotten before; expected some that are not"
        )
    return Sample(taken.pixel_values[stay], taken.labels[stay], taken.index[stay.cpu()])


def check_references(sample: Sample | None, forget: Any, num_forget: int, model: PreTrainedModel) -> None:
    """Hold the reference samples, if there are any, against the forget set, of `num_forget` items.

    Raises:
        UnlearningError: one of them is a forget sample, or none is of a forgotten sample's class.
    """
    if sample is None:
        return
    theirs = {_digest(pixels): int(index) for pixels, index in zip(sample.pixel_values, sample.index, strict=True)}
    labels = set()
    for row in range(num_forget):
        item = forget[row]
        labels.add(int(item["labels"]))
        found = theirs.get(_digest(torch.as_tensor(item["pixel_values"]).to(sample.pixel_values)))
        if found is not None:
            raise UnlearningError(
                f"reference sample {found} is forget sample {row}: the same image; expected reference samples that are "
                "not to be forgotten"
            )
    if num_forget and not labels & set(sample.labels.tolist()):
        by_id = id2label_of(model.config)
        names = ", ".join(repr(by_id[label]) for label in sorted(labels)[:5])
        raise UnlearningError(
            f"none of {len(sample.labels)} reference samples is of a class of the forget set ({names}); expected some"
        )


def _digest(pixels: torch.Tensor) -> bytes:
    return hashlib.sha256(pixels.detach().float().cpu().numpy().tobytes()).digest()


class Said(NamedTuple):
    """What reference samples say of a request.

    Attributes:
        odds: log-odds of their labels, `(m,)`, where they are the level for those of the forget samples.
        taught: log-odds of the forget samples' labels that siblings teach, `(size,)`, of a sub-class.
        lines: what there is to tell of it.
    """

    odds: torch.Tensor | None
    taught: torch.Tensor | None
    lines: list[str]


def what_references_say(
    references: Sample | None, odds: torch.Tensor | None, forget_kind: str, items: Any, size: int, seed: int
) -> Said:
    """What is read off the reference samples for a request whose labels stay in use.

    Args:
        references: None if there are none.
        odds: the log-odds of their labels under the original, `(m,)`.
        forget_kind: `"subclass"` or `"subset"`.
        items: the forget set, of `size` items.
        seed: of what the reference samples are asked by.
    """
    if references is None or odds is None:
        return Said(None, None, [ASKS_FOR_REFERENCES] if forget_kind == "subclass" else [])
    if len(references.labels) < LEAST_REFERENCES:
        return Said(None, None, [TOO_FEW.format(size=len(references.labels))])
    if forget_kind != "subclass":
        return Said(odds, None, [])
    taught = what_siblings_teach(items, size, references, seed)
    return Said(None, taught.odds, [str(taught)])
