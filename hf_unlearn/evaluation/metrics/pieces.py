"""Many rows a piece at a time, so that they may lie on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

ROWS_AT_ONCE = 8192


def pieces(count: int) -> Iterator[slice]:
    """Slices that together cover `count` rows in order."""
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, count, ROWS_AT_ONCE))


def mean_over(function: Callable[[np.ndarray, np.ndarray], np.ndarray], ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean over samples of a function of two arrays, whose rows are the samples.

    Raises:
        ValueError: there are no samples, or not as many in one as in the other.
    """
    if len(ours) != len(theirs) or not len(ours):
        raise ValueError(f"there are {len(ours)} and {len(theirs)} samples; expected as many, and at least one")
    return sum(float(function(ours[rows], theirs[rows]).sum()) for rows in pieces(len(ours))) / len(ours)
