"""Whatever mode a picture has, what it shows is there afterwards."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.image_modes import as_mode

GREY = np.linspace(0, 255, 256).reshape(16, 16).astype(np.uint8)


def saved(image, kind="PNG", **settings):
    """As it comes from a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return Image.open(buffer)


DEEP = {
    "16-bit PNG": lambda: saved(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "16-bit TIFF": lambda: saved(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
    "16 bits, big-endian": lambda: Image.fromarray(GREY.astype(">u2") * 257),
    "8 bits as 16": lambda: Image.fromarray(GREY.astype(np.uint16)),
    "32-bit TIFF": lambda: saved(Image.fromarray(GREY.astype(np.int32) * 257), "TIFF"),
    "8 bits as 32": lambda: Image.fromarray(GREY.astype(np.int32)),
    "floats to 1": lambda: saved(Image.fromarray((GREY / 255).astype(np.float32)), "TIFF"),
    "floats to 255": lambda: saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "floats to 65535": lambda: Image.fromarray(GREY.astype(np.float32) * 257),
    "transparent grey": lambda: Image.fromarray(GREY).convert("LA"),
    "premultiplied grey": lambda: Image.fromarray(GREY).convert("LA").convert("La"),
    "palette": lambda: Image.fromarray(GREY).convert("P"),
    "palette with a transparency": lambda: saved(Image.fromarray(GREY).convert("P"), transparency=3),
    "transparent colours": lambda: Image.fromarray(GREY).convert("RGBA"),
}


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("kind", DEEP)
def test_the_picture_is_that_of_8_bits(kind, mode):
    turned = as_mode(DEEP[kind](), mode)
    assert turned.mode == mode
    assert np.array_equal(np.asarray(turned), np.asarray(Image.fromarray(GREY).convert(mode)))


@pytest.mark.parametrize("stored", ["1", "CMYK", "YCbCr", "HSV", "RGBX", "PA", "LAB"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_other_modes_keep_their_content(stored, mode):
    picture = Image.fromarray(GREY) if stored in ("1", "PA") else Image.fromarray(GREY).convert("RGB")
    if stored == "PA":
        picture = picture.convert("P")
    elif stored == "LAB":
        from PIL import ImageCms

        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        picture = ImageCms.applyTransform(picture, to_lab)
    assert len(np.unique(np.asarray(as_mode(picture.convert(stored), mode)))) > (1 if stored == "1" else 200)


@given(st.lists(st.integers(0, 65535), min_size=2, max_size=30), st.sampled_from([np.uint16, np.int32, np.float32]))
def test_the_order_of_greys_stays(values, kind):
    turned = np.asarray(as_mode(Image.fromarray(np.array([values], dtype=kind)), "L"))[0].astype(int)
    assert (np.diff(turned[np.argsort(values, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("values", [[-1, 5], [0, 70_000], [0.0, float("nan")], [0.0, float("inf")], [-0.5, 0.5]])
def test_values_of_no_known_scale_are_refused(values):
    kind = np.int32 if isinstance(values[0], int) else np.float32
    with pytest.raises(UnlearningError, match="greyscale values go from .* expected 0 to"):
        as_mode(Image.fromarray(np.array([values], dtype=kind)), "RGB")


@pytest.mark.parametrize(("ink", "behind"), [("black", 255), ("white", 0)])
def test_a_drawing_that_is_all_transparency_is_seen(ink, behind):
    drawing = Image.new("RGBA", (2, 1), ink)
    drawing.putpixel((0, 0), (*drawing.getpixel((0, 0))[:3], 0))
    assert np.asarray(as_mode(drawing, "L")).tolist() == [[behind, 255 - behind]]


def test_a_picture_taken_sideways_stands_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(GREY[:4])
    buffer = io.BytesIO()
    lying.save(buffer, "PNG", exif=exif)
    assert np.array_equal(np.asarray(as_mode(Image.open(buffer), "L")), np.rot90(GREY[:4], -1))


def test_an_ordinary_picture_is_as_pil_turns_it():
    colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))
    for mode in ("RGB", "L"):
        assert np.array_equal(np.asarray(as_mode(colours, mode)), np.asarray(colours.convert(mode)))
