"""Which weights matter for the forget set: SalUn's mask, SSD's factors, the ℓ₁ norm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch


def saliency_mask(gradients: Mapping[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """m = 1(|∇_θ ℓ_f| ≥ γ), with γ such that a given share of all weights is salient (SalUn, arXiv 2310.12508).

    Args:
        gradients: of the forgetting loss at the original weights, by name of the parameter.
        share: of the weights, between 0 and 1; with ties at γ the earlier ones are taken.

    Returns:
        Boolean masks shaped as the parameters; exactly `round(share · weights)` elements are True.

    Raises:
        ValueError: a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; expected 0 to 1")
    sizes = torch.cat([gradient.abs().flatten().float() for gradient in gradients.values()])
    chosen = sizes.argsort(descending=True, stable=True)[: round(share * len(sizes))]
    flat = torch.zeros_like(sizes, dtype=torch.bool)
    flat[chosen] = True
    parts = flat.split([gradient.numel() for gradient in gradients.values()])
    return {name: part.view_as(gradient) for (name, gradient), part in zip(gradients.items(), parts, strict=True)}


def dampening_factors(
    forget_importance: torch.Tensor, importance: torch.Tensor, alpha: float, dampening: float
) -> torch.Tensor:
    """β of SSD (arXiv 2308.07707): θᵢ ← βᵢ θᵢ.

    βᵢ = min(λ · I_D,ᵢ / I_Df,ᵢ, 1) where I_Df,ᵢ > α · I_D,ᵢ, and 1 elsewhere.

    Args:
        forget_importance, importance: I_Df and I_D, the diagonals of the Fisher information of the forget set and of
            the whole training set; of one shape, 0 or more.
        alpha: α: by how much a weight must matter more to the forget set to be chosen.
        dampening: λ.

    Returns:
        A tensor of the same shape, between 0 and 1.
    """
    chosen = forget_importance > alpha * importance
    # Where chosen, the forget set's is above 0.
    factor = dampening * importance / torch.where(chosen, forget_importance, torch.ones_like(forget_importance))
    return torch.where(chosen, factor.clamp(max=1.0), torch.ones_like(factor))


def l1_norm(parameters: Iterable[torch.Tensor]) -> torch.Tensor:
    """‖θ‖₁ = Σ |θᵢ| over all parameters that require a gradient, a scalar."""
    return torch.stack([parameter.abs().sum() for parameter in parameters if parameter.requires_grad]).sum()
