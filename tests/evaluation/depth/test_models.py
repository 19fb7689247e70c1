"""What is taken of a model: the features before its head, its weights against another's, jittered copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.evaluation.depth.features import NoLinearHead, features_of
from hf_unlearn.evaluation.depth.jitter import accuracy_fall, jitter_gap, jittered
from hf_unlearn.evaluation.depth.weights import barrier, straight_line, weight_distance
from hf_unlearn.evaluation.predict import predict_logits
from tests.tiny import make_dataset, make_model, make_processor


@pytest.fixture(scope="module")
def pixels():
    return PixelDataset(make_dataset(16), make_processor(), "image", "label", [0, 1, 2, 3])


def test_the_head_makes_the_logits_of_the_features(architecture, pixels):
    model = make_model(architecture)
    rows = np.array([3, 1, 8])
    values, head = features_of(model, pixels, rows, batch_size=2)
    logits = predict_logits({"m": model}, pixels)["m"]
    assert values.shape == (3, 16)
    np.testing.assert_allclose(head.logits(values), logits[rows], atol=1e-5)
    np.testing.assert_array_equal(features_of(model, pixels)[0][rows].round(4), values.round(4))


def test_a_model_without_a_linear_head_is_named(pixels):
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make_model()
            self.config, self.dtype = self.inner.config, torch.float32

        def forward(self, pixel_values):
            return {"logits": 2 * self.inner(pixel_values=pixel_values)["logits"]}

    with pytest.raises(NoLinearHead, match="none of the 1 linear layers with 4 outputs .* Scaled"):
        features_of(Scaled(), pixels)
    with pytest.raises(ValueError, match="there is no sample"):
        features_of(make_model(), pixels, np.array([], dtype=int))


def test_the_distance_in_weights():
    original, model = make_model(seed=0), make_model(seed=0)
    assert weight_distance(model, original) == 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert weight_distance(model, original) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="expected same"):
        weight_distance(make_model("vit"), original)


def test_the_straight_line_begins_and_ends_at_the_models():
    original, model = make_model(seed=0), make_model(seed=1)
    bias = torch.nn.init.constant_
    bias(original.classifier[1].bias, 0.0), bias(model.classifier[1].bias, 4.0)
    values = straight_line(model, original, lambda between: float(between.classifier[1].bias[0].detach()))
    assert values == pytest.approx([0, 1, 2, 3, 4])
    with pytest.raises(ValueError, match="points is 2"):
        straight_line(model, original, lambda between: 0.0, points=2)


def test_a_barrier_is_the_fall_below_the_line_between_the_ends():
    assert barrier([90, 88, 50, 84, 80]) == pytest.approx(85 - 50)
    assert barrier([90, 95, 99]) == 0


def test_jitter_moves_a_little_and_again_alike():
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    moved = jittered(images)
    assert moved.shape == images.shape and moved.min() >= images.min() and moved.max() <= images.max()
    assert not torch.allclose(moved, images) and torch.equal(moved, jittered(images))
    assert not torch.equal(moved, jittered(images, seed=1))
    # A plain image has nothing that could move; and the map that all are near is that to themselves.
    plain = torch.full((1, 1, 8, 8), 0.5)
    assert torch.allclose(jittered(plain), plain)
    assert torch.allclose(jittered(images, strength=1e-6), images, atol=1e-4)
    with pytest.raises(ValueError, match="strength is 0"):
        jittered(images, 0)


def test_the_jitter_gap_by_hand():
    labels = np.zeros(4, dtype=int)
    right, half = np.eye(2)[[0, 0, 0, 0]], np.eye(2)[[0, 0, 1, 1]]
    assert accuracy_fall(right, half, labels) == 50
    # Unseen samples lose a quarter, forget samples a half: a quarter of it is memory.
    three = np.eye(2)[[0, 0, 0, 1]]
    assert jitter_gap(right, half, labels, right, three, labels) == 25
    assert jitter_gap(right, half, labels, right, half, labels) == 0
    with pytest.raises(ValueError, match="0 samples"):
        accuracy_fall(right[:0], half[:0], labels[:0])
