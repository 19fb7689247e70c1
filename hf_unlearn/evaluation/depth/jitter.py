"""How much a model knows samples themselves: its accuracy on them against copies that are moved a little."""

from __future__ import annotations

import numpy as np
import torch

from hf_unlearn.evaluation.metrics.accuracies import accuracy

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
    if not 0 < strength < 1:
        raise ValueError(f"strength is {strength}; expected more than 0 and below 1")
    generator = torch.Generator().manual_seed(seed)
    off = strength * (2 * torch.rand(len(pixel_values), 2, 3, generator=generator) - 1)
    matrix = (torch.eye(2, 3) + off).to(pixel_values.device, pixel_values.dtype)
    grid = torch.nn.functional.affine_grid(matrix, list(pixel_values.shape), align_corners=False)
    return torch.nn.functional.grid_sample(pixel_values, grid, padding_mode="reflection", align_corners=False)


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
