"""Image processors by name, as people have saved them."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.pretrained import load_image_processor
from tests.tiny import make_model

HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SQUARE = {"height": 16, "width": 16}


def load(folder, settings, model_type="resnet"):
    make_model(model_type).save_pretrained(folder)
    text = settings if isinstance(settings, str) else json.dumps(settings)
    (folder / "preprocessor_config.json").write_text(text)
    return load_image_processor(folder)


@pytest.mark.parametrize("model_type", ["resnet", "vit"])
@pytest.mark.parametrize(
    "settings",
    [
        {"size": SQUARE, **HALF},
        {"size": SQUARE, "do_center_crop": True, "crop_size": {"height": 8, "width": 8}, **HALF},
    ],
)
def test_settings_without_a_class_are_applied(tmp_path, model_type, settings):
    processor = load(tmp_path, settings, model_type)
    pixels = processor([Image.new("RGB", (40, 20), "white")], return_tensors="pt")["pixel_values"]
    side = 8 if "crop_size" in settings else 16
    assert pixels.shape == (1, 3, side, side) and pixels.min() == pixels.max() == 1
    processor.save_pretrained(tmp_path)
    assert load_image_processor(tmp_path).to_dict() == processor.to_dict()


def test_settings_without_a_class_go_with_the_models_type_where_they_fit(tmp_path):
    # The processor of ResNet's type: 224 is the size of what it crops from a larger image.
    assert type(load(tmp_path, {"size": {"shortest_edge": 20}, **HALF})).__name__.startswith("ConvNext")


@pytest.mark.parametrize("settings", ["[]", "{", '{"size": "big"}', '{"image_processor_type": "NoSuch"}'])
def test_settings_that_are_none_are_one_line(tmp_path, settings):
    with pytest.raises(UnlearningError, match="no usable image processor") as caught:
        load(tmp_path, settings)
    assert "\n" not in str(caught.value)
