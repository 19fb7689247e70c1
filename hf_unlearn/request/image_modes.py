"""A picture of any of PIL's modes in the mode that a model takes, with what it shows."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image, ImageOps

from hf_unlearn.errors import UnlearningError

# What is white, at the usual depths of one channel.
_WHITE_8_BIT, _WHITE_16_BIT = 255, 65535


def as_mode(image: Image.Image, mode: str) -> Image.Image:
    """The picture upright, in 8 bits a channel, as `"RGB"` or `"L"`.

    PIL clips what has more than 8 bits, so that nearly all of it turns white. Here it is scaled: integers to 65535,
    unless none is above 255; floats to 1, 255 or 65535, whichever is the smallest that none is above. An EXIF
    orientation is applied, as `datasets` and transformers' pipelines do. Transparency is dropped, as they do, unless
    nothing else shows the picture: then it is laid on white, or a white one on black.

    Raises:
        UnlearningError: values that are negative, not finite, or above 65535.
    """
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = _in_8_bits(image)
    elif image.mode in ("La", "RGBa"):
        # Premultiplied by the transparency: PIL converts these to nothing else.
        image = image.convert(image.mode.upper())
    elif image.mode == "LAB":
        # Not to be had as greyscale.
        image = image.convert("RGB")
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "PA", "RGBA"):
        image = _without_transparency(image.convert("RGBA"))
    return image.convert(mode)


def _in_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    least, most = float(values.min()), float(values.max())
    floats = image.mode == "F"
    whites = (1, _WHITE_8_BIT, _WHITE_16_BIT) if floats else (_WHITE_8_BIT, _WHITE_16_BIT)
    # A comparison with a value that is not a number is false.
    white = next((white for white in whites if most <= white), None)
    if white is None or not least >= 0:
        expected = "0 to 1, 0 to 255 or 0 to 65535" if floats else "0 to 255 or 0 to 65535"
        raise UnlearningError(f"its greyscale values go from {least:g} to {most:g}; expected {expected}")
    return Image.fromarray(np.rint(values * (_WHITE_8_BIT / white)).astype(np.uint8))


def _without_transparency(image: Image.Image) -> Image.Image:
    channels = [np.asarray(channel) for channel in image.split()[:3]]
    if all(channel.min() == channel.max() for channel in channels):
        background = "black" if all(channel[0, 0] > 127 for channel in channels) else "white"
        return Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    return image
