"""Image processors, and what they do not take."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessorPil, ViTImageProcessorPil

from hf_unlearn.data.processing import to_pixels
from hf_unlearn.errors import UnlearningError

HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SQUARE = {"height": 16, "width": 16}


def pictures(*sizes, mode="RGB"):
    return [Image.new("RGB", size, (200, 40, 40)).convert(mode) for size in sizes]


@pytest.mark.parametrize(
    ("processor", "setting"),
    [
        (ViTImageProcessorPil(do_resize=False, **HALF), "do_resize=False"),
        (CLIPImageProcessorPil(size={"shortest_edge": 16}, do_center_crop=False, **HALF), "do_center_crop=False"),
    ],
)
def test_several_shapes_are_one_line_with_the_setting(processor, setting):
    names = ["the red one", "the wide one", "the other"]
    with pytest.raises(UnlearningError) as caught:
        to_pixels(processor, pictures((16, 16), (24, 16), (16, 16)), names=names)
    told = str(caught.value)
    assert "3 × 16 × 16 of the red one" in told and "3 × 16 × 24 of the wide one" in told and setting in told
    assert "\n" not in told
    assert to_pixels(processor, pictures((16, 16), (16, 16))).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("kind", [ViTImageProcessorPil, CLIPImageProcessorPil])
def test_a_greyscale_model_takes_the_average_of_three_means(kind):
    settings = {"size": SQUARE, "crop_size": SQUARE, "image_mean": [0.2, 0.3, 0.4], "image_std": [0.1, 0.2, 0.3]}
    pixels = to_pixels(kind(**settings), pictures((16, 16), mode="L"), num_channels=1)
    grey = np.asarray(pictures((1, 1), mode="L")[0])[0, 0]
    assert pixels.shape == (1, 1, 16, 16)
    assert np.allclose(pixels.numpy(), (grey / 255 - 0.3) / 0.2, atol=1e-5)


def test_a_single_mean_is_that_of_all_channels():
    one = ViTImageProcessorPil(size=SQUARE, image_mean=[0.5], image_std=[0.25])
    three = ViTImageProcessorPil(size=SQUARE, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    assert np.array_equal(to_pixels(one, pictures((16, 16))), to_pixels(three, pictures((16, 16))))


def test_what_an_image_processor_raises_is_one_line_that_names_the_image():
    def choosy(images, return_tensors):
        if any(image.width > 20 for image in images):
            raise KeyError("too\nwide")
        return {"pixel_values": np.zeros(1)}

    with pytest.raises(
        UnlearningError, match="the image processor function does not take the wide one .24 × 16"
    ) as caught:
        to_pixels(choosy, pictures((24, 16)), names=["the wide one"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1, 40), (5, 3), (200, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_images_keep_their_channels(size, channels):
    processor = ViTImageProcessorPil(size=SQUARE, **HALF)
    pixels = to_pixels(processor, pictures(size, mode="L" if channels == 1 else "RGB"), channels)
    assert pixels.shape == (1, channels, 16, 16)
    assert np.allclose(pixels, pixels[..., :1, :1], atol=0.02)
