"""Adam's direction, with steps measured against the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from hf_unlearn.objectives.relative_sgd import global_norm

BETAS = (0.9, 0.999)


class RelativeAdam(torch.optim.Optimizer):
    """w ← w − ρ · ‖w‖ · s u / ‖s u‖, with u = m̂ / √v̂ of Adam (arXiv 1412.6980, Alg. 1), norms over all parameters.

    As [`RelativeSGD`], a step's length is the fraction ρ of the weights' length; the direction is Adam's, which fits
    targets of single samples in fewer steps than the gradient's. It does not depend on the scale of the loss.

    Args:
        params: parameters, as for any `torch.optim.Optimizer`; parameters without a gradient stay put and do not
            count in ‖w‖.
            A group of them may have a `scale` s (default 1): how much it moves against the others.
        lr: ρ, a fraction of ‖w‖ (no unit), > 0. A learning-rate schedule applies to it.

    Raises:
        ValueError: `lr` is not positive.
    """

    def __init__(self, params: Iterable, lr: float = 1e-3):
        if not lr > 0:
            raise ValueError(f"lr is {lr!r}; expected a fraction of the weights' norm above 0")
        super().__init__(params, {"lr": lr, "scale": 1.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step. Where no gradient was ever other than zero, the weights stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    moving.append((parameter, group["lr"], group["scale"] * self._direction(parameter)))
        if not moving:
            return loss
        length = global_norm(direction for _, _, direction in moving)
        if length == 0:
            return loss
        unit = float(global_norm(parameter for parameter, _, _ in moving) / length)
        for parameter, lr, direction in moving:
            parameter.add_(direction.to(parameter.dtype), alpha=-lr * unit)
        return loss

    def _direction(self, parameter: torch.Tensor) -> torch.Tensor:
        """m̂ / √v̂ of a parameter, float32 at least; 0 where no gradient came yet."""
        gradient = parameter.grad.to(torch.promote_types(parameter.dtype, torch.float32))  # type: ignore[union-attr]
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        first, second = BETAS
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - second)
        mean, square = (
            state[name] / (1 - beta ** float(state["step"]))
            for name, beta in (("exp_avg", first), ("exp_avg_sq", second))
        )
        # Squares of the smallest gradients leave float32's range: those parameters rest.
        return torch.where(square > 0, mean * square.clamp_min(torch.finfo(square.dtype).tiny).rsqrt(), 0.0)
