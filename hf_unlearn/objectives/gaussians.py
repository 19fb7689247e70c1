"""Classes as normal distributions of their features: SCAR's Mahalanobis distances (arXiv 2312.02052)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


def tukey(features: torch.Tensor, power: float) -> torch.Tensor:
    """Tukey's transform sign(f) |f|^δ, which makes skewed features more normal."""
    # Near 0 a power below 1 has no finite slope.
    return features.sign() * features.abs().clamp_min(1e-8) ** power


class ClassGaussians(NamedTuple):
    """A normal distribution of transformed features for each class that there are samples of.

    Attributes:
        labels: of the classes, `(classes,)`.
        means: μ, `(classes, width)`.
        inverses: Σ⁻¹ of the shrunk covariance, normalised to a correlation, `(classes, width, width)`.
        power: δ of the transform.
    """

    labels: torch.Tensor
    means: torch.Tensor
    inverses: torch.Tensor
    power: float

    @classmethod
    def of(cls, features: torch.Tensor, labels: torch.Tensor, power: float, shrinkage: float) -> ClassGaussians:
        """Of labelled samples.

        Args:
            features: `(samples, width)`.
            labels: `(samples,)`; a class with a single sample is left out.
            power: δ.
            shrinkage: γ: Σ + γ V₁ I + γ V₂ (1 − I), V₁ and V₂ the means of the diagonal and of the rest of Σ; twice, as
                in the authors' code.

        Raises:
            ValueError: no class has two samples.
        """
        # On the CPU: not every accelerator has float64.
        device, labels = features.device, labels.cpu()
        transformed = tukey(features.cpu().double(), power)
        known, counts = labels.unique(return_counts=True)
        known = known[counts > 1]
        if not len(known):
            raise ValueError("no class has two samples; expected some, whose features vary")
        means, inverses = [], []
        for label in known:
            own = transformed[labels == label]
            covariance = _shrunk(_shrunk(torch.atleast_2d(torch.cov(own.T)), shrinkage), shrinkage)
            spread = covariance.diagonal().sqrt().clamp_min(1e-12)
            means.append(own.mean(0))
            inverses.append(torch.linalg.pinv(covariance / spread.outer(spread), hermitian=True))
        mean, inverse = (torch.stack(each).float().to(device) for each in (means, inverses))
        return cls(known.to(device), mean, inverse, power)

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """(f̂ − μ̂)ᵀ Σ⁻¹ (f̂ − μ̂) with f̂ and μ̂ of length 1, to each class: `(batch, classes)`."""
        own = self._directions(features)
        apart = own.unsqueeze(1) - functional.normalize(self.means, dim=1).to(own)
        return torch.einsum("bcw,cwv,bcv->bc", apart, self.inverses.to(own), apart)

    def distances_to(self, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Of [`distances`] that of each sample to one class, at `rows` `(batch,)` of `labels`: `(batch,)`."""
        own = self._directions(features)
        rows = rows.to(self.means.device)
        apart = own - functional.normalize(self.means[rows], dim=1).to(own)
        return torch.einsum("bw,bwv,bv->b", apart, self.inverses[rows].to(own), apart)

    def _directions(self, features: torch.Tensor) -> torch.Tensor:
        """f̂ of length 1."""
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        return functional.normalize(tukey(wide, self.power), dim=1)


def _shrunk(covariance: torch.Tensor, shrinkage: float) -> torch.Tensor:
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    others = covariance * (1 - eye)
    off = others.sum() / (others != 0).sum().clamp_min(1)
    return covariance + shrinkage * (eye * covariance.diagonal().mean() + (1 - eye) * off)
