"""Several retrained models: their mean, their spread, and how far apart they are among themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Figures = Mapping[str, float | None]


def summarise(several: Sequence[Figures]) -> tuple[dict[str, float | None], dict[str, float] | None]:
    """Mean of each figure, and its standard deviation (n − 1); None where one of the models lacks the figure.

    Returns:
        The means, and the deviations, or None for one model.
    """
    means: dict[str, float | None] = {}
    deviations: dict[str, float] = {}
    for key in dict.fromkeys(key for figures in several for key in figures):
        values = [value for value in (figures.get(key) for figures in several) if value is not None]
        means[key] = float(np.mean(values)) if len(values) == len(several) else None
        if len(values) == len(several) > 1:
            deviations[key] = float(np.std(values, ddof=1))
    return means, (deviations if len(several) > 1 else None)


def noise_floor(pairs: Sequence[Figures]) -> dict[str, float]:
    """The distances between one retrained model and another, means over ordered pairs: nothing can be told below it."""
    return {key: value for key, value in summarise(pairs)[0].items() if value is not None}


def is_tie(gap: float | None, floor: Figures | None) -> bool | None:
    """Whether an average gap is no larger than that between retrained models; None where that is not known."""
    bound = None if floor is None else floor.get("average_gap")
    return None if gap is None or bound is None else gap <= bound


def verdict(models: Mapping[str, Figures], floor: Figures | None) -> dict[str, bool | None]:
    """Whether the unlearned model is nearer to the retrained than the original is, and whether it is a tie with it."""
    gaps = [models.get(role, {}).get("average_gap") for role in ("unlearned", "original")]
    closer = None if gaps[0] is None or gaps[1] is None else gaps[0] < gaps[1]
    return {"closer_than_doing_nothing": closer, "tie_with_retrained": is_tie(gaps[0], floor)}
