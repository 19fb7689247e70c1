"""What both sides are given, by seed: a tiny model, batches, answers of several models."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

CLASSES, WIDTH, SIDE = 5, 8, 3


class Tiny(nn.Module):
    """Two layers without BatchNorm or dropout; called with pixels as theirs, with `pixel_values` as ours."""

    def __init__(self, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.features = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, WIDTH), nn.Tanh())
            self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x=None, pixel_values=None):
        logits = self.head(self.features(x if pixel_values is None else pixel_values))
        return logits if pixel_values is None else {"logits": logits}

    @property
    def device(self):
        return self.head.weight.device

    @property
    def dtype(self):
        return self.head.weight.dtype


def flat(model: nn.Module) -> torch.Tensor:
    """All weights in a row."""
    return torch.cat([value.detach().flatten() for value in model.parameters()])


def images(count: int = 24, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in the middle of [0, 1], and labels."""
    draws = torch.Generator().manual_seed(seed)
    pixels = 0.4 + 0.2 * torch.rand(count, 3, SIDE, SIDE, generator=draws)
    return pixels, torch.randint(CLASSES, (count,), generator=draws)


def answers(count: int = 12, seed: int = 2, scale: float = 3.0) -> torch.Tensor:
    """Logits `(count, CLASSES)`."""
    return scale * torch.randn(count, CLASSES, generator=torch.Generator().manual_seed(seed))


def confidences(samples: int = 60, models: int = 4, seed: int = 3) -> np.ndarray:
    """Probabilities of the true class, `(samples, models)`."""
    return np.random.default_rng(seed).beta(3, 2, (samples, models))


def margins(models: int = 30, samples: int = 6, seed: int = 4, shift: float = 0.0) -> np.ndarray:
    """Margins `(models, samples)`."""
    return np.random.default_rng(seed).normal(shift, 2.0, (models, samples))
