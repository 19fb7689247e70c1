"""What an image processor makes of images, whatever their shapes, and what it does not take in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from hf_unlearn.errors import UnlearningError, one_line


def to_pixels(
    image_processor: Callable[..., Any],
    images: Sequence[Image.Image],
    num_channels: int = 3,
    names: Sequence[str] | None = None,
) -> torch.Tensor:
    """Images as one batch of pixel values, `(images, num_channels, height, width)` float32.

    For a greyscale model, an image processor with means and deviations of three channels takes their average;
    for one of three channels, a single mean is that of all three.

    Args:
        images: of mode `"L"` for one channel, else `"RGB"`.
        names: what messages call the images.

    Raises:
        UnlearningError: the image processor does not take an image, or makes images of several shapes; the message has
            the shapes and the setting.
    """
    fitted = _fitted(image_processor, num_channels)
    try:
        return image_processor(list(images), return_tensors="pt", **fitted)["pixel_values"].float()
    # An image processor raises nearly anything: it may be the model's own code.
    except Exception as error:
        _explain(image_processor, images, fitted, names or [f"image {row}" for row in range(len(images))])
        raise UnlearningError(f"{_described(image_processor)} cannot make one batch: {one_line(error)}") from error


def shape_problem(image_processor: Callable[..., Any], shapes: Sequence[tuple[int, ...]], names: Sequence[str]) -> str:
    """Why two images came out in several shapes, in one line.

    Args:
        shapes: of two processed images, `(channels, height, width)`.
        names: what messages call the two.
    """
    one, other = (" × ".join(map(str, shape)) for shape in shapes)
    return (
        f"{_described(image_processor)} makes images of several shapes: {one} of {names[0]} and {other} of {names[1]}; "
        "expected a size of height and width, or do_center_crop"
    )


def _explain(
    image_processor: Callable[..., Any], images: Sequence[Image.Image], fitted: dict[str, Any], names: Sequence[str]
) -> None:
    """Raise an error about the first image that is at fault by itself, or that has another shape than the first."""
    shapes: list[tuple[int, ...]] = []
    for image, name in zip(images, names, strict=True):
        try:
            pixels = image_processor([image], return_tensors="pt", **fitted)["pixel_values"]
            shapes.append(tuple(pixels.shape[1:]))
        except Exception as error:
            size = " × ".join(map(str, image.size))
            raise UnlearningError(
                f"{_described(image_processor)} does not take {name} ({size}): {one_line(error)}"
            ) from error
        if shapes[-1] != shapes[0]:
            raise UnlearningError(shape_problem(image_processor, (shapes[0], shapes[-1]), (names[0], name)))


def _fitted(image_processor: Callable[..., Any], num_channels: int) -> dict[str, Any]:
    """The settings that do not fit the number of channels, as they do."""
    fitted: dict[str, Any] = {}
    for setting in ("image_mean", "image_std"):
        values = getattr(image_processor, setting, None)
        if isinstance(values, (list, tuple)) and len(values) != num_channels:
            if num_channels == 1:
                fitted[setting] = [sum(values) / len(values)]
            elif len(values) == 1:
                fitted[setting] = list(values) * num_channels
    if num_channels == 1 and getattr(image_processor, "do_convert_rgb", False):
        fitted["do_convert_rgb"] = False
    return fitted


def _described(image_processor: Callable[..., Any]) -> str:
    """The image processor, with what decides the shape of its images."""
    held = image_processor.to_dict() if hasattr(image_processor, "to_dict") else {}
    deciding = [("do_resize", "do_resize"), ("size", "do_resize"), ("do_center_crop", "do_center_crop")]
    deciding.append(("crop_size", "do_center_crop"))
    shown = [f"{name}={held[name]}" for name, asked in deciding if name in held and (name == asked or held.get(asked))]
    name = type(image_processor).__name__
    return f"the image processor {name} ({', '.join(shown)})" if shown else f"the image processor {name}"
