"""Copies of images a small way off, of a kind that leaves what they show: memory is local, what was learned is not."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hf_unlearn.objectives.affine import moved

# Numbers that decide one copy of a sample.
DRAWS = 8
_PATCHES = 8

# `(pixel_values, strength, normal)` to a tensor shaped as `pixel_values`.
Jitter = Callable[[torch.Tensor, float, torch.Tensor], torch.Tensor]


def affine(pixel_values: torch.Tensor, strength: float, normal: torch.Tensor) -> torch.Tensor:
    """Moved, turned, stretched and sheared a little; beyond the edge the edge goes on.

    Args:
        pixel_values: `(batch, channels, height, width)`.
        strength: standard deviation of the six numbers of the transform, in halves of the image's side.
        normal: what decides, standard normal `(batch, DRAWS)`, here and in the other kinds.

    Returns:
        A tensor shaped as `pixel_values`.
    """
    drawn = normal[:, :6].to(pixel_values.device, torch.float32).view(-1, 2, 3)
    return moved(pixel_values, torch.eye(2, 3, device=pixel_values.device) + strength * drawn, "border")


def noise(pixel_values: torch.Tensor, strength: float, normal: torch.Tensor) -> torch.Tensor:
    """White noise added, of 2 · `strength` times the standard deviation of the batch's pixels."""
    # From the sample's own numbers, so that it does not depend on the batch it is in.
    seeds = (normal[:, 0].abs() * 1e6).long()
    fields = [torch.randn(pixel_values[0].shape, generator=torch.Generator().manual_seed(int(s))) for s in seeds]
    spread = pixel_values.flatten(1).std(1).view(-1, 1, 1, 1)
    return pixel_values + 2 * strength * spread * torch.stack(fields).to(pixel_values)


def blur(pixel_values: torch.Tensor, strength: float, normal: torch.Tensor) -> torch.Tensor:
    """Mixed with the mean of 3 × 3 pixels: the share of the mean is the normal number's size times 4 · `strength`."""
    padded = torch.nn.functional.pad(pixel_values, (1, 1, 1, 1), mode="replicate")
    smooth = torch.nn.functional.avg_pool2d(padded, 3, 1)
    share = (4 * strength * normal[:, 0].abs()).clamp(max=1.0).view(-1, 1, 1, 1).to(pixel_values)
    return pixel_values + share * (smooth - pixel_values)


def colour(pixel_values: torch.Tensor, strength: float, normal: torch.Tensor) -> torch.Tensor:
    """Each channel made brighter or darker, and of more or less contrast, by 2 · `strength`."""
    channels = pixel_values.shape[1]
    drawn = normal.to(pixel_values)
    gain = 1 + 2 * strength * drawn[:, :1].view(-1, 1, 1, 1)
    columns = [1 + channel % (DRAWS - 1) for channel in range(channels)]
    offset = 2 * strength * drawn[:, columns].view(-1, channels, 1, 1)
    mean = pixel_values.mean((1, 2, 3), keepdim=True)
    spread = pixel_values.flatten(1).std(1).view(-1, 1, 1, 1)
    return mean + gain * (pixel_values - mean) + offset * spread


def mask(pixel_values: torch.Tensor, strength: float, normal: torch.Tensor) -> torch.Tensor:
    """A share of 2 · `strength` of 8 × 8 patches replaced by the image's mean."""
    seeds = (normal[:, 0].abs() * 1e6).long()
    size = (1, _PATCHES, _PATCHES)
    drawn = torch.stack([torch.rand(size, generator=torch.Generator().manual_seed(int(s))) for s in seeds])
    gone = torch.nn.functional.interpolate((drawn < 2 * strength).float(), pixel_values.shape[-2:])
    mean = pixel_values.mean((2, 3), keepdim=True)
    return torch.where(gone.to(pixel_values.device).bool(), mean, pixel_values)


JITTERS: dict[str, Jitter] = {"affine": affine, "noise": noise, "blur": blur, "colour": colour, "mask": mask}


def draw_copies(num_samples: int, generator: torch.Generator) -> torch.Tensor:
    """What decides one copy of each sample: standard normal `(num_samples, DRAWS)`, on the CPU."""
    return torch.randn(num_samples, DRAWS, generator=generator)
