"""Whether a figure is what chance gives: under exact unlearning it does not matter which model is called what."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# How often the models are called anew; no p-value is below 1 / (ROUNDS + 1).
ROUNDS = 400


class Chance(NamedTuple):
    """What a figure is if nothing but chance tells the models apart.

    Attributes:
        expected: the median over the permutations.
        p: how likely a figure is as large as the one that was found, or larger.
    """

    expected: float
    p: float


def permuted(
    figure: Callable[[np.ndarray], float], labels: np.ndarray, seed: int = 0, rounds: int = ROUNDS
) -> tuple[float, Chance]:
    """A figure, and what it is where the models that the labels tell apart are alike (permutation test).

    If unlearning is exact, unlearned and retrained models are drawn from the same distribution, independently of one
    another, so every way of calling half of them *unlearned* is as likely. That makes the test exact whatever the
    figure is, however many samples are looked at, and however these hang together.

    Args:
        figure: of labels, large where the models differ.
        labels: one row a model; rows change places, whole.
        seed: of the permutations.
        rounds: how many. p is (1 + permutations with a figure at least as large) / (1 + rounds), above 0.
    """
    rng = np.random.default_rng(seed)
    there = figure(labels)
    found = np.array([figure(labels[rng.permutation(len(labels))]) for _ in range(rounds)])
    # Sums of the same numbers in another order differ in the last digits.
    close = 1e-9 * max(1.0, abs(there))
    return there, Chance(float(np.median(found)), float(1 + (found >= there - close).sum()) / (1 + rounds))
