"""Reference samples: some that the model was not trained on, or that it may keep, beside the forget set."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.trainers.safety.samples import Sample

# So many are looked at, evenly spaced, fewer where they would take more than a quarter of a GiB.
MOST_REFERENCES = 1000
_MOST_VALUES = 2**26
# With fewer a level of confidence says nothing: they only hold the model to its answers.
LEAST_REFERENCES = 20
# What reference samples must tell of each other before they are asked about the forget set, and in how many parts.
LEAST_ACCURACY, FOLDS = 0.8, 3
ASKS_FOR_REFERENCES = (
    "what other sub-classes teach of the label cannot be read off the forget set: with samples of them "
    "(reference_dataset, --reference_split) it can"
)
TOO_FEW = (
    "{size} reference samples are too few to read off them how sure a model is of what it never saw; expected at least "
    f"{LEAST_REFERENCES}. They hold the model to its answers, and no more"
)


def take_references(references: Any, size: int, model: PreTrainedModel) -> Sample:
    """The reference samples that a run looks at, as `model` takes them.

    Args:
        references: items of `{"pixel_values", "labels"}`, `size` of them, 1 at the least.
    """
    values = torch.as_tensor(references[0]["pixel_values"]).numel()
    return Sample.of(references, size, model, min(MOST_REFERENCES, max(LEAST_REFERENCES, _MOST_VALUES // values)))


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
    references: Sample | None, odds: torch.Tensor | None, forget_kind: str, items: Any, size: int
) -> Said:
    """What is read off the reference samples for a request whose labels stay in use.

    Args:
        references: None if there are none.
        odds: the log-odds of their labels under the original, `(m,)`.
        forget_kind: `"subclass"` or `"subset"`.
        items: the forget set, of `size` items.
    """
    if references is None or odds is None:
        return Said(None, None, [ASKS_FOR_REFERENCES] if forget_kind == "subclass" else [])
    if len(references.labels) < LEAST_REFERENCES:
        return Said(None, None, [TOO_FEW.format(size=len(references.labels))])
    if forget_kind != "subclass":
        return Said(odds, None, [])
    taught = what_siblings_teach(items, size, references)
    return Said(None, taught.odds, [str(taught)])


class Taught(NamedTuple):
    """What reference samples say of the forget samples of a sub-class.

    Attributes:
        accuracy: share of the reference samples that are told apart by the others, cross-validated, 0 to 1.
        odds: log-odds of each forget sample's label, `(size,)`, nats; None where the accuracy is below
            `LEAST_ACCURACY`: then a low share of forget samples that are recognised says nothing.
    """

    accuracy: float
    odds: torch.Tensor | None

    def __str__(self) -> str:
        if self.odds is None:
            return (
                f"the reference samples are too few to say what siblings teach of the label: of each other they tell "
                f"{100 * self.accuracy:.0f} %, expected {100 * LEAST_ACCURACY:.0f} %. They hold the model to its "
                "answers, and no more"
            )
        return (
            f"reference samples teach the labels of {100 * float((self.odds > 0).float().mean()):.0f} % of the forget "
            f"samples, and of {100 * self.accuracy:.0f} % of each other"
        )


def what_siblings_teach(items: Any, size: int, references: Sample) -> Taught:
    """What is learned of a forgotten sub-class from samples of its siblings and of other classes alone.

    A logistic regression on the pixels, of 16 × 16 means. Not on the model's features: those were trained to put the
    sub-class where its siblings are, so that a head on them knows it whatever it was fitted on.

    Args:
        items: the forget set, of `size` items.
        references: labelled samples without the forgotten sub-class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    labels = references.labels.cpu().numpy()
    known, counts = np.unique(labels, return_counts=True)
    if len(known) < 2 or counts.min() < FOLDS:
        return Taught(0.0, None)
    seen = _coarse(references.pixel_values.cpu())
    mean, spread = seen.mean(0), seen.std() + 1e-6
    head = LogisticRegression(C=0.1, max_iter=1000)
    accuracy = float(cross_val_score(head, (seen - mean) / spread, labels, cv=FOLDS).mean())
    if accuracy < LEAST_ACCURACY:
        return Taught(accuracy, None)
    head.fit((seen - mean) / spread, labels)
    forget = [items[row] for row in range(size)]
    pixels = _coarse(torch.stack([torch.as_tensor(item["pixel_values"]) for item in forget]))
    log_p = head.predict_log_proba((pixels - mean) / spread)
    own = np.array([int(item["labels"]) for item in forget])
    place = np.searchsorted(known, own).clip(max=len(known) - 1)
    said = np.where(known[place] == own, log_p[np.arange(size), place], -30.0)
    odds = said - np.log(-np.expm1(np.minimum(said, -1e-9)))
    return Taught(accuracy, torch.as_tensor(odds, dtype=torch.float32))


def _coarse(pixel_values: torch.Tensor) -> np.ndarray:
    means = torch.nn.functional.adaptive_avg_pool2d(pixel_values.float(), 16)
    return means.flatten(1).numpy().astype(np.float64)
