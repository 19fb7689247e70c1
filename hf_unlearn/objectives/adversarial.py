"""The nearest inputs that a model takes for another class, found by its gradients (AMUN, Spotter)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from hf_unlearn.objectives.labelling import log_odds

# The radius of a search is doubled no more often than this: by then it is longer than any image.
_MOST_DOUBLINGS = 30


class Adversarial(NamedTuple):
    """What a search found.

    Attributes:
        pixel_values: x_adv, `(batch, ...)`.
        labels: y_adv, what the model takes them for, integer `(batch,)`.
        radius: of the last search, the ε of x_adv, `(batch,)`, in units of `pixel_values`; 0 where the model takes the
            sample itself for another class.
    """

    pixel_values: torch.Tensor
    labels: torch.Tensor
    radius: torch.Tensor


def nearest_adversarial(
    answer: Callable[[torch.Tensor], torch.Tensor],
    pixel_values: torch.Tensor,
    labels: torch.Tensor,
    radius: float,
    steps: int = 50,
) -> Adversarial:
    """For each sample an input nearby that is taken for another class (AMUN, arXiv 2503.00917, Algorithm 1).

    PGD in the ℓ₂ ball of radius ε around x, with steps of ε/10 along the gradient of CE(f(x), y), up to `steps` of
    them. The radius is doubled for the samples that are still taken for y, and the search goes on from where it was.
    The first iterate that is taken for another class is the one.

    Args:
        answer: f, from inputs to logits `(batch, num_labels)`; no layer of it may mix samples.
        pixel_values: x. Iterates are not clipped to the range of images.
        labels: y, integer `(batch,)`.
        radius: the first ε, above 0, in units of `pixel_values`.
        steps: of a search.

    Raises:
        ValueError: a radius that is not above 0, or no class but y is ever the likeliest.
    """
    if not radius > 0:
        raise ValueError(f"radius is {radius}; expected a length above 0")
    found = pixel_values.detach().clone()
    taken_for = labels.clone()
    reached = torch.zeros(len(labels), device=pixel_values.device)
    left = torch.arange(len(labels), device=labels.device)
    epsilon = radius
    for doubling in range(_MOST_DOUBLINGS):
        for step in range(steps + 1):
            said, gradient = _gradient(answer, found[left], labels[left])
            other = said != labels[left]
            taken_for[left[other]] = said[other]
            if doubling or step:
                reached[left[other]] = epsilon
            left, gradient = left[~other], gradient[~other]
            if not len(left):
                return Adversarial(found, taken_for, reached)
            if step < steps:
                start = pixel_values[left]
                moved = found[left] + epsilon / 10 * _unit(gradient) - start
                length = moved.flatten(1).norm(dim=1).clamp_min(1e-12)
                found[left] = start + _scaled(moved, (epsilon / length).clamp(max=1.0))
        epsilon *= 2
    raise ValueError(f"{len(left)} samples are taken for their own class however far they are moved")


def towards_class(
    answer: Callable[[torch.Tensor], torch.Tensor],
    pixel_values: torch.Tensor,
    start: torch.Tensor,
    targets: torch.Tensor,
    bound: float,
    step: float,
    steps: int,
) -> torch.Tensor:
    """Targeted PGD: `steps` steps of `step` against the sign of ∇ₓ CE(f(x), t), within `bound` of x in each pixel.

    Args:
        answer: f, from inputs to logits; no layer of it may mix samples.
        pixel_values: x.
        start: where the search begins, shaped as x; taken to within `bound` of it.
        targets: t, integer `(batch,)`: the classes to come nearer to.
        bound, step: in units of `pixel_values`.

    Returns:
        A tensor shaped as `pixel_values`.
    """
    low, high = pixel_values - bound, pixel_values + bound
    moved = start.clamp(low, high)
    for _ in range(steps):
        _, gradient = _gradient(answer, moved, targets)
        moved = (moved - step * gradient.sign()).clamp(low, high)
    return moved


def _gradient(
    answer: Callable[[torch.Tensor], torch.Tensor], pixel_values: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest classes, and of each input the direction in which its cross-entropy rises.

    That is the gradient of the negative log-odds. The gradient of the cross-entropy is 1 − p_y
    times it, which is rounded away where the model is sure.
    """
    with torch.enable_grad():
        inputs = pixel_values.detach().clone().requires_grad_()
        logits = answer(inputs)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        (gradient,) = torch.autograd.grad(-log_odds(wide, labels).sum(), inputs)
    return logits.detach().argmax(1), gradient


def _unit(gradient: torch.Tensor) -> torch.Tensor:
    return _scaled(gradient, 1 / gradient.flatten(1).norm(dim=1).clamp_min(torch.finfo(gradient.dtype).tiny))


def _scaled(values: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    return values * factors.view(-1, *[1] * (values.ndim - 1))
