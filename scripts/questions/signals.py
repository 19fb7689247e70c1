"""What can be read off a model of each sample: sensitivities, their ratio, loss, and the fall under jitter."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hf_unlearn.evaluation import jittered, sensitivities

from .models import Samples, logits_of, loss_of

# How far, and in how many copies, samples are moved to see how much the model knows of the very images.
STRENGTH, COPIES = 0.05, 4
# Each is higher where more is expected to be memorised.
SIGNALS = ("target", "irrelevant", "log_ratio", "difference", "jitter", "loss")


def contributions(model: Any, samples: Samples, seed: int = 0) -> dict[str, np.ndarray]:
    """What the sensitivities say of each sample, `(samples,)`.

    Returns:
        `target` and `irrelevant`: squared sensitivities. `log_ratio`: log of target over irrelevant. `difference`:
        target less irrelevant.
    """
    target, irrelevant = sensitivities(model, samples, np.arange(len(samples)), seed, batch_size=256)
    log_ratio = np.log(target) - np.log(irrelevant)
    return {"target": target, "irrelevant": irrelevant, "log_ratio": log_ratio, "difference": target - irrelevant}


def signals(model: Any, samples: Samples, seed: int = 0) -> dict[str, np.ndarray]:
    """Every signal of each sample, `(samples,)`, in the order of `SIGNALS`.

    Returns:
        [`contributions`], and `jitter`: how much the loss grows when the image is moved by up to 2.5 %, the mean of
        `COPIES` copies, nats. `loss`: cross-entropy, nats.
    """
    loss = losses(model, samples)
    moved = [
        losses(model, Samples(jittered(samples.pixels, STRENGTH, seed * COPIES + copy), samples.labels))
        for copy in range(COPIES)
    ]
    return {**contributions(model, samples, seed), "jitter": np.mean(moved, axis=0) - loss, "loss": loss}


def losses(model: Any, samples: Samples) -> np.ndarray:
    """Of each sample, see [`loss_of`]."""
    logits = torch.from_numpy(logits_of(model, samples)).double()
    labels = samples.labels.double() if samples.labels.is_floating_point() else samples.labels
    return loss_of(logits, labels).numpy()
