"""Inputs around the forget samples that show none of them: made from the samples alone, no retained data.

Colours, textures and edges stay, the depicted thing goes. What the original model says of such inputs is about the
features that all classes share, so holding the model to it holds those.
"""

from __future__ import annotations

import math

import torch

from hf_unlearn.objectives.affine import moved
from hf_unlearn.objectives.draws import PassDraws

GRID = 4


class Surroundings:
    """One input near each sample, drawn anew in each pass: its patches shuffled, or the whole of it warped.

    Args:
        num_samples: size of the forget set.
        seed: of the draws, which are tied to sample and pass (see [`PassDraws`]).
    """

    def __init__(self, num_samples: int, seed: int):
        self._orders = PassDraws(lambda g: torch.rand(num_samples, GRID * GRID, generator=g).argsort(1), seed, 1)
        self._warps = PassDraws(lambda g: torch.rand(num_samples, 6, generator=g), seed, 2)
        self._coins = PassDraws(lambda g: torch.rand(num_samples, generator=g), seed, 3)

    def near(self, pixel_values: torch.Tensor, indices: torch.Tensor, pass_number: int) -> torch.Tensor:
        """An input near each of the samples at `indices` (positions in the forget set), shaped as `pixel_values`."""
        shuffled = shuffle_patches(pixel_values, self._orders.of(indices, pass_number))
        warped = warp(pixel_values, self._warps.of(indices, pass_number))
        heads = (self._coins.of(indices, pass_number) < 0.5).to(pixel_values.device)
        return torch.where(heads.view(-1, 1, 1, 1), shuffled, warped)


def shuffle_patches(pixel_values: torch.Tensor, order: torch.Tensor, grid: int = GRID) -> torch.Tensor:
    """Images with their patches in another order.

    Args:
        pixel_values: `(batch, channels, height, width)`, height and width at least `grid`.
        order: for each sample a permutation of its `grid`² patches, integer `(batch, grid²)`.
        grid: patches a side. Rows and columns that do not divide by it stay where they are.

    Returns:
        A tensor shaped as `pixel_values`.
    """
    batch, channels, height, width = pixel_values.shape
    high, wide = height // grid, width // grid
    whole = pixel_values[..., : high * grid, : wide * grid]
    patches = whole.reshape(batch, channels, grid, high, grid, wide).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(batch, grid * grid, channels, high, wide)
    index = order.to(pixel_values.device).view(batch, grid * grid, 1, 1, 1).expand_as(patches)
    shuffled = patches.gather(1, index).reshape(batch, grid, grid, channels, high, wide)
    result = pixel_values.clone()
    result[..., : high * grid, : wide * grid] = shuffled.permute(0, 3, 1, 4, 2, 5).reshape_as(whole)
    return result


def warp(pixel_values: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Images turned by any angle, stretched by up to e^1.4, sheared and moved by up to a quarter; edges reflected.

    Args:
        pixel_values: `(batch, channels, height, width)`.
        uniform: what decides, for each sample six numbers in [0, 1): `(batch, 6)`.

    Returns:
        A tensor shaped as `pixel_values`, with values within those of each image.
    """
    angle, high, wide, shear, right, down = (2 * uniform.to(pixel_values.device, torch.float32) - 1).unbind(1)
    angle, high = angle * math.pi, (0.7 * high).exp()
    wide = high * (0.7 * wide).exp()
    matrix = torch.stack(
        [
            torch.stack([high * angle.cos(), 0.5 * shear - high * angle.sin(), 0.5 * right], 1),
            torch.stack([wide * angle.sin(), wide * angle.cos(), 0.5 * down], 1),
        ],
        1,
    )
    return moved(pixel_values, matrix, "reflection")
