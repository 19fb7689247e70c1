"""What changes a model's answers and nothing else in it: no method that does no better has forgotten anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_unlearn.evaluation.logits import label_columns
from hf_unlearn.request import UnlearningSplits

# The role of the original with the forgotten classes' logits masked.
MASKED = "masked"
# The role of the original after the same method, with all weights but the classifier head's frozen.
HEAD_ONLY = "head_only"
# Far below any logit, and finite, as all figures of answers want it.
DEPTH_OF_MASK = 100.0


class MaskedLogits:
    """Logits of which some columns are masked, a piece at a time: the array may lie on disk.

    Args:
        logits: `(samples, num_labels)`.
        columns: of the masked classes, at least one less than there are.

    Raises:
        ValueError: nothing would be left, or nothing is masked.
    """

    def __init__(self, logits: np.ndarray, columns: Sequence[int]):
        if not 0 < len(set(columns)) < logits.shape[1]:
            raise ValueError(f"columns {list(columns)} of {logits.shape[1]} are masked; expected some, and not all")
        self._logits = logits
        self._columns = list(columns)
        self.shape = logits.shape

    def __len__(self) -> int:
        return len(self._logits)

    def __getitem__(self, rows: Any) -> np.ndarray:
        masked = np.array(self._logits[rows])
        masked[..., self._columns] = masked.min(axis=-1, keepdims=True) - DEPTH_OF_MASK
        return masked


def forgotten_columns(splits: UnlearningSplits) -> list[int]:
    """Columns of the classes that vanish with the request, in logits of a [`LogitStore`]; none where all stay."""
    if not splits.removes_whole_classes:
        return []
    return [column for column, label in enumerate(label_columns(splits)) if label in splits.forgotten_class_ids]


def masked_original(
    logits: Mapping[str, Mapping[str, np.ndarray]], splits: UnlearningSplits
) -> tuple[dict[str, Any] | None, str]:
    """The control *mask the logit*, from the original's logits by split.

    Args:
        logits: by role and split.

    Returns:
        The masked logits by split, or None and why there are none.
    """
    columns = forgotten_columns(splits)
    if not columns:
        return None, "the label stays, as other samples have it: there is no logit that only the forget set needs"
    if "original" not in logits:
        return None, "it takes the original model"
    if logits["original"]["forget"].shape[1] == len(columns):
        return None, "no other class would be left"
    return {name: MaskedLogits(values, columns) for name, values in logits["original"].items()}, ""
