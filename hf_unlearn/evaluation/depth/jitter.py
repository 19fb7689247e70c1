"""How much a model knows samples themselves: its accuracy on them against copies that are moved a little."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.evaluation.predict import Items
from hf_unlearn.objectives.affine import moved

STRENGTH = 0.05


def jittered(pixel_values: torch.Tensor, strength: float = STRENGTH, seed: int = 0) -> torch.Tensor:
    """Copies turned, stretched, sheared and moved a little; edges reflected.

    Each of the six numbers of the affine map is off by at most `strength`, where a side is 2 long: at 0.05 samples
    move by up to 2.5 % of the image and turn by up to 3 degrees.

    Args:
        pixel_values: `(batch, channels, height, width)`.
        strength: more than 0, below 1.
        seed: of what is drawn, for each sample.

    Returns:
        A tensor shaped as `pixel_values`.
    """
    return moved(pixel_values, _maps(len(pixel_values), strength, seed), "reflection")


class Jittered:
    """The items of a split, each a [`jittered`] copy, the same whenever it is asked for.

    Args:
        items: of a split, a [`PixelDataset`].
        strength, seed: as for [`jittered`].
    """

    def __init__(self, items: Items, strength: float = STRENGTH, seed: int = 0):
        self._items = items
        self._maps = _maps(len(items), strength, seed)

    def __len__(self) -> int:
        return len(self._items)

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        items = self._items.__getitems__(indices)
        pixels = moved(torch.stack([item["pixel_values"] for item in items]), self._maps[indices], "reflection")
        return [{**item, "pixel_values": pixels[row]} for row, item in enumerate(items)]


def _maps(count: int, strength: float, seed: int) -> torch.Tensor:
    """Affine maps near that of everything to itself, `(count, 2, 3)`."""
    if not 0 < strength < 1:
        raise ValueError(f"strength is {strength}; expected more than 0 and below 1")
    off = 2 * torch.rand(count, 2, 3, generator=torch.Generator().manual_seed(seed)) - 1
    return torch.eye(2, 3) + strength * off


def accuracy_fall(logits: np.ndarray, jittered_logits: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on samples less that on their jittered copies, points.

    Args:
        logits, jittered_logits: `(samples, num_labels)`.
        labels: `(samples,)`.

    Raises:
        ValueError: there is no sample, or a logit is not a number.
    """
    before, after = accuracy(logits, labels), accuracy(jittered_logits, labels)
    if before is None or after is None:
        raise ValueError("there are 0 samples; expected at least one")
    return before - after


def jitter_gap(
    forget_logits: np.ndarray,
    forget_jittered: np.ndarray,
    forget_labels: np.ndarray,
    unseen_logits: np.ndarray,
    unseen_jittered: np.ndarray,
    unseen_labels: np.ndarray,
) -> float:
    """How much more accuracy falls under jitter on forget samples than on unseen ones like them, points.

    0: the forget samples are to the model as unseen ones are. Jitter costs accuracy everywhere; what it costs beyond
    that is memory of the very samples.

    Args:
        forget_logits, unseen_logits: `(samples, num_labels)`; the others of their [`jittered`] copies.
        forget_labels, unseen_labels: `(samples,)`.
    """
    return accuracy_fall(forget_logits, forget_jittered, forget_labels) - accuracy_fall(
        unseen_logits, unseen_jittered, unseen_labels
    )
