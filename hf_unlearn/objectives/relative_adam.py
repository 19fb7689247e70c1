"""Adam's direction, with steps measured against the weights themselves."""

from __future__ import annotations

import math
from typing import Any

import torch

from hf_unlearn.objectives.relative_sgd import RelativeSGD, global_norm

BETAS = (0.9, 0.999)
# As a share of the root mean square of all gradients: what is far below is rounding, which has no direction.
LEAST = 1e-3


class RelativeAdam(RelativeSGD):
    """w ← w − ρ · ‖w‖ · s u / ‖s u‖, with u = m̂ / (√v̂ + ε) as in Adam (arXiv 1412.6980, Alg. 1).

    Norms are over all parameters together. As with [`RelativeSGD`] a step's length is the fraction ρ of the weights'
    length; the direction is Adam's, which fits targets of single samples in fewer steps than the gradient's. ε is a
    thousandth of the root mean square of √v̂ over all parameters, so that nothing depends on the scale of the loss, and
    weights whose gradients are rounding errors rest.

    Args:
        params: parameters, as for any `torch.optim.Optimizer`; parameters without a gradient stay put and do not
            count in ‖w‖.
            A group of them may have a `scale` s (default 1): how much it moves against the others.
        lr: ρ, a fraction of ‖w‖ (no unit), > 0. A learning-rate schedule applies to it.

    Raises:
        ValueError: `lr` is not positive.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As any optimizer's, but for the moments: they stay float32 where the weights are narrower."""
        super().load_state_dict(state_dict)
        numbers = [number for group in state_dict["param_groups"] for number in group["params"]]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            for name in ("exp_avg", "exp_avg_sq"):
                if name in state_dict["state"].get(number, {}):
                    self.state[parameter][name] = state_dict["state"][number][name].to(parameter.device, copy=True)

    def _directions(self, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
        moments = [self._moments(parameter) for parameter in parameters]
        count = sum(square.numel() for _, square in moments)
        least = LEAST * global_norm(square.sqrt() for _, square in moments) / math.sqrt(count)
        if least == 0:
            return [mean for mean, _ in moments]
        return [mean / (square.sqrt() + least) for mean, square in moments]

    def _moments(self, parameter: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """m̂ and v̂ of a parameter, with its latest gradient: float32 at least."""
        gradient = parameter.grad.to(torch.promote_types(parameter.dtype, torch.float32))  # type: ignore[union-attr]
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        first, second = BETAS
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - second)
        steps = float(state["step"])
        return state["exp_avg"] / (1 - first**steps), state["exp_avg_sq"] / (1 - second**steps)
