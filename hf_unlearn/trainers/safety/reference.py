"""Reference samples: some that the model was not trained on, or that it may keep, beside the forget set."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.depth.features import NoLinearHead, features_of
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.trainers.safety.samples import Sample

# So many are looked at, evenly spaced, fewer where they would take more than a quarter of a GiB.
MOST_REFERENCES = 1000
_MOST_VALUES = 2**26
# With fewer a level of confidence says nothing.
LEAST_REFERENCES = 20


def take_references(references: Any, size: int, model: PreTrainedModel) -> Sample:
    """The reference samples that a run looks at, as `model` takes them.

    Args:
        references: items of `{"pixel_values", "labels"}`, `size` of them.

    Raises:
        UnlearningError: there are too few.
    """
    if size < LEAST_REFERENCES:
        raise UnlearningError(f"there are {size} reference samples; expected at least {LEAST_REFERENCES}")
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


def odds_that_siblings_teach(model: PreTrainedModel, items: Any, size: int, references: Sample) -> torch.Tensor | None:
    """What a head says of the forget samples that was fitted on the original's features of reference samples alone.

    It knows of the forgotten sub-class only what its siblings teach. A logistic regression, the strength of its
    penalty chosen by cross-validation on the reference samples.

    Args:
        items: the forget set, of `size` items.
        references: labelled samples without the forgotten sub-class.

    Returns:
        The log-odds of each forget sample's label, `(size,)`, nats; None where the model has no linear head.
    """
    from sklearn.linear_model import LogisticRegressionCV

    device = str(model.device)
    labels = references.labels.cpu().numpy()
    counts = np.bincount(labels)
    if (counts > 0).sum() < 2:
        return None
    try:
        seen, _ = features_of(model, _Items(references), device=device)
        forget, _ = features_of(model, _Read(items, size), device=device)
    except NoLinearHead:
        return None
    mean, spread = seen.mean(0), seen.std() + 1e-6
    folds = int(min(5, counts[counts > 0].min()))
    if folds < 2:
        return None
    head = LogisticRegressionCV(Cs=np.logspace(-3, 1, 5), cv=folds, max_iter=500, scoring="neg_log_loss")
    head.fit((seen - mean) / spread, labels)
    said = np.full((size, int(model.config.num_labels or 0)), -30.0)
    said[:, head.classes_] = head.predict_log_proba((forget - mean) / spread)
    own = np.array([int(items[row]["labels"]) for row in range(size)])
    log_p = said[np.arange(size), own]
    return torch.as_tensor(log_p - np.log(-np.expm1(np.minimum(log_p, -1e-9))), dtype=torch.float32)


class _Read:
    """A dataset by its items alone."""

    def __init__(self, items: Any, size: int):
        self.items, self.size = items, size

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        return [{"index": index, **self.items[index]} for index in indices]


class _Items(_Read):
    def __init__(self, sample: Sample):
        rows = zip(sample.pixel_values.cpu(), sample.labels.tolist(), strict=True)
        super().__init__([{"pixel_values": pixels, "labels": label} for pixels, label in rows], len(sample.labels))
