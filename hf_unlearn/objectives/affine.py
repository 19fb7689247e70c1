"""Images moved by affine maps: what every kind of copy of an image that is moved, turned or stretched comes down to."""

from __future__ import annotations

import torch


def moved(pixel_values: torch.Tensor, maps: torch.Tensor, padding_mode: str) -> torch.Tensor:
    """Each image seen through its map.

    Args:
        pixel_values: `(batch, channels, height, width)`.
        maps: from places in the result to places in the image, where a side is 2 long: float32 `(batch, 2, 3)`.
        padding_mode: what lies beyond the edge: `"border"` (the edge goes on) or `"reflection"`.

    Returns:
        A tensor shaped as `pixel_values`.
    """
    # Places rounded to 8 bits are a pixel off in larger images.
    pixels = pixel_values.float()
    grid = torch.nn.functional.affine_grid(maps.to(pixels.device), list(pixels.shape), align_corners=False)
    seen = torch.nn.functional.grid_sample(pixels, grid, padding_mode=padding_mode, align_corners=False)
    return seen.to(pixel_values.dtype)
