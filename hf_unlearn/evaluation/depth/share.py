"""The depth: the share of the way from the original to the retrained model, in one number for all probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Depth(NamedTuple):
    """How far one probe says that unlearning went.

    Attributes:
        share: percent of the way from the original to the retrained model. Below 0 it led away; over 100 it overshot.
        floor: how far two retrained models are apart, percent of the same way; None with one.
    """

    share: float
    floor: float | None

    @property
    def reached(self) -> float:
        """What counts in the mean, 0 to 100: 100 less the distance to 100. Who overshoots is told apart as well as
        who stays behind."""
        return max(0.0, 100.0 - abs(self.share - 100.0))


def depth_of(original: float, unlearned: float, retrained: Sequence[float], least: float = 0.0) -> Depth | None:
    """100 · (unlearned − original) / (retrained − original), percent.

    Args:
        original, unlearned: a probe's values.
        retrained: its values for one or more retrained models; the mean is the target.
        least: a smaller difference than this between original and target says nothing: the probe's own resolution.

    Returns:
        None where the probe does not tell the original from a retrained model: by less than `least`, or by no more
        than retrained models differ among themselves.

    Raises:
        ValueError: there is no retrained model, or a value is not finite.
    """
    values = np.asarray([original, unlearned, *retrained], dtype=np.float64)
    if not len(retrained) or not np.isfinite(values).all():
        raise ValueError(f"values are {values.tolist()}; expected finite ones of an original, a model and retrained")
    way = float(np.mean(values[2:])) - original
    apart = _mean_distance(values[2:])
    if abs(way) <= max(least, apart or 0.0, np.finfo(np.float64).tiny):
        return None
    return Depth(100.0 * (unlearned - original) / way, None if apart is None else 100.0 * apart / abs(way))


def mean_depth(depths: Mapping[str, Depth | None]) -> Depth | None:
    """One number for all probes that tell: the mean of what each says was `reached`, and of their floors.

    Returns:
        None where no probe tells the original from a retrained model.
    """
    told = [each for each in depths.values() if each is not None]
    if not told:
        return None
    floors = [each.floor for each in told if each.floor is not None]
    mean = float(np.mean([each.reached for each in told]))
    return Depth(mean, float(np.mean(floors)) if len(floors) == len(told) else None)


def _mean_distance(values: np.ndarray) -> float | None:
    """Between two of the values, the mean over pairs; None for one."""
    pairs = np.abs(values[:, None] - values[None, :])[np.triu_indices(len(values), 1)]
    return float(pairs.mean()) if len(pairs) else None
