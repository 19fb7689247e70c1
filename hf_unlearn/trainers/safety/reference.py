"""Reference samples: some that the model was not trained on, or that it may keep, beside the forget set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.objectives.labelling import log_odds
from hf_unlearn.trainers.safety.samples import Sample, labels_of, sample_logits, sureness
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


class Unseen(NamedTuple):
    """What the original says of samples like the forgotten ones that it was not trained on.

    Attributes:
        sureness: its largest probability, in the mean, 0 to 1.
        accuracy: share of them that it gets right, 0 to 1; None where they have no labels.
    """

    sureness: float
    accuracy: float | None


@dataclass(frozen=True)
class References(Sample):
    """Reference samples, and what the original says of them.

    Attributes:
        labelled: if not, their labels are the original's answers.
        largest: the original's largest probability of each, `(m,)`, 0 to 1.
        odds: the log-odds of their labels, `(m,)`, nats; None if they have none.
    """

    labelled: bool
    largest: torch.Tensor
    odds: torch.Tensor | None

    def like(self, labels: torch.Tensor) -> Unseen:
        """What the original says of them in the mean over the classes that samples of these `labels` `(n,)` are of.

        Classes count as often as there; such as no reference sample is of do not count. Where fewer than
        `LEAST_REFERENCES` are of those classes all of them count alike.
        """
        own = torch.bincount(labels.cpu(), minlength=int(self.labels.max()) + 1)[self.labels.cpu()]
        weights = own / torch.bincount(self.labels.cpu())[self.labels.cpu()]
        if int((own > 0).sum()) < LEAST_REFERENCES:
            weights = torch.ones_like(weights)
        weights = (weights / weights.sum()).to(self.largest)
        accuracy = None if self.odds is None else float((weights * (self.odds > 0)).sum())
        return Unseen(float((weights * self.largest).sum()), accuracy)


def take_references(references: Any, model: PreTrainedModel, gone: torch.Tensor) -> References:
    """The reference samples that a run looks at, as `model` takes them.

    Args:
        references: dataset of items of `{"pixel_values", "labels"}`, at least one; its `labelled` is False if the
            labels are none (see [`hf_unlearn.data.unlabelled.unlabelled_pixels`]).
        model: the original, in eval mode.
        gone: ids of the classes that went with earlier requests, which they are not to teach again.

    Raises:
        UnlearningError: all of them are of such classes.
    """
    size = len(references)
    values = torch.as_tensor(references[0]["pixel_values"]).numel()
    taken = Sample.of(references, size, model, min(MOST_REFERENCES, max(LEAST_REFERENCES, _MOST_VALUES // values)))
    labelled = getattr(references, "labelled", True)
    with torch.no_grad():
        logits = sample_logits(model, taken.pixel_values)
    labels = taken.labels if labelled else logits.argmax(1)
    stay = torch.isin(labels, gone.to(labels.device), invert=True)
    if not bool(stay.any()):
        raise UnlearningError(
            f"all of {size} reference samples are of classes that were forgotten before; expected some that are not"
        )
    logits, labels = logits[stay], labels[stay]
    odds = log_odds(logits, labels) if labelled else None
    largest = sureness(logits)
    return References(taken.pixel_values[stay], labels, taken.index[stay.cpu()], labelled, largest, odds)


def check_references(sample: References | None, forget: Any, num_forget: int, model: PreTrainedModel) -> None:
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
        unseen: what the original says of them, where it is the level for the forget samples.
        taught: log-odds of the forget samples' labels that siblings teach, `(size,)`, of a sub-class.
        lines: what there is to tell of it.
    """

    unseen: Unseen | None
    taught: torch.Tensor | None
    lines: list[str]


def what_references_say(references: References | None, forget_kind: str, items: Any, size: int, seed: int) -> Said:
    """What is read off the reference samples for a request whose labels stay in use.

    Args:
        references: None if there are none.
        forget_kind: `"subclass"` or `"subset"`.
        items: the forget set, of `size` items.
        seed: of what the reference samples are asked by.
    """
    if references is None:
        return Said(None, None, [ASKS_FOR_REFERENCES] if forget_kind == "subclass" else [])
    if len(references.labels) < LEAST_REFERENCES:
        return Said(None, None, [TOO_FEW.format(size=len(references.labels))])
    if forget_kind != "subclass":
        return Said(references.like(labels_of(items, size)), None, [])
    taught = what_siblings_teach(items, size, references, seed)
    return Said(None, taught.odds, [str(taught)])
