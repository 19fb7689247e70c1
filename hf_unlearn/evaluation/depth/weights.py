"""How far apart two models are in their weights, and whether all models between them are good."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

POINTS = 5


def weight_distance(model: nn.Module, original: nn.Module) -> float:
    """‖w − w₀‖ / ‖w₀‖ over all parameters: 0 for the same weights, about √2 for unrelated ones of one size.

    Raises:
        ValueError: the models do not have the same parameters.
    """
    ours, theirs = dict(model.named_parameters()), dict(original.named_parameters())
    _same(ours, theirs)
    apart = whole = 0.0
    for name, weight in theirs.items():
        before = weight.detach().cpu().double()
        apart += float((ours[name].detach().cpu().double() - before).square().sum())
        whole += float(before.square().sum())
    if not whole:
        raise ValueError("the original's weights are all 0; expected others")
    return float(np.sqrt(apart / whole))


def straight_line(
    model: PreTrainedModel,
    original: PreTrainedModel,
    measure: Callable[[PreTrainedModel], float],
    points: int = POINTS,
) -> list[float]:
    """A figure of the models on the straight line from the original to the model, both ends among them.

    Running statistics of normalisation layers lie between those of the ends, as the weights do.

    Args:
        measure: the figure of a model, its accuracy on retained samples, say. It must not change the model.
        points: models along the line, evenly spaced.

    Raises:
        ValueError: the models do not have the same weights, or there are fewer than three points.
    """
    if points < 3:
        raise ValueError(f"points is {points}; expected at least 3: both ends, and one between")
    ours, theirs = model.state_dict(), original.state_dict()
    _same(ours, theirs)
    between = copy.deepcopy(original).eval()
    values = []
    for share in np.linspace(0.0, 1.0, points):
        mixed = {
            name: torch.lerp(start, ours[name].to(start), float(share)) if start.is_floating_point() else start
            for name, start in theirs.items()
        }
        between.load_state_dict(mixed)
        values.append(float(measure(between)))
    return values


def barrier(values: Sequence[float]) -> float:
    """The deepest fall of a figure along a line below what lies straight between its ends; 0 where it never falls.

    Args:
        values: evenly spaced along the line, from [`straight_line`], where higher is better.
    """
    line = np.linspace(values[0], values[-1], len(values))
    return float(max(0.0, np.max(line - np.asarray(values, np.float64))))


def _same(ours: dict, theirs: dict) -> None:
    for name in [*theirs, *ours]:
        one, other = (tuple(each[name].shape) if name in each else None for each in (ours, theirs))
        if one != other:
            raise ValueError(f"the weight {name!r} is of shape {one} in one model, {other} in the other; expected same")
