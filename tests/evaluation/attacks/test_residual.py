"""Sensitivities in closed form, and relearning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.evaluation.attacks.residual import residual_contribution, sensitivities
from tests.tiny import make_dataset, make_model, make_processor


class Linear(torch.nn.Module):
    """f = W x: the gradient of logit k with respect to x is row k of W, everywhere."""

    def __init__(self):
        super().__init__()
        self.config = make_model().config
        self.dtype, self.device = torch.float32, torch.device("cpu")
        self.head = torch.nn.Linear(3 * 16 * 16, 4)

    def forward(self, pixel_values):
        return {"logits": self.head(pixel_values.flatten(1))}


@pytest.fixture
def pixels():
    return PixelDataset(make_dataset(24), make_processor(), "image", "label", range(4))


def test_sensitivities_of_a_linear_model_are_its_weights_norms(pixels):
    model = Linear()
    norms = model.head.weight.detach().double().square().sum(1).numpy()
    rows = np.arange(8)
    found = sensitivities(model, pixels, rows, batch_size=3)
    labels = pixels.labels[rows].numpy()
    # With four classes all three others are looked at; a mean of norms.
    others = np.array([(norms.sum() - norms[label]) / 3 for label in labels])
    np.testing.assert_allclose(found.target, norms[labels], rtol=1e-5)
    np.testing.assert_allclose(found.irrelevant, others, rtol=1e-5)


def test_sensitivities_do_not_depend_on_the_batch(pixels, architecture):
    model = make_model(architecture)
    rows = np.arange(10)
    one, other = (sensitivities(model, pixels, rows, batch_size=size) for size in (10, 3))
    np.testing.assert_allclose(one.target, other.target, rtol=1e-4)
    np.testing.assert_allclose(one.irrelevant, other.irrelevant, rtol=1e-4)


def test_the_irrelevant_classes_are_those_of_the_other_model_whatever_the_order_of_its_labels(pixels):
    names = [str(number) for number in range(14)]
    model, turned = make_model(label_names=names), make_model(label_names=names)
    order = np.random.default_rng(0).permutation(14)
    head, other = model.classifier[1], turned.classifier[1]
    # Class `order[i]` of the one is what class i is of the other.
    other.weight.data[order], other.bias.data[order] = head.weight.data, head.bias.data
    theirs = PixelDataset(make_dataset(16), make_processor(), "image", "label", order[:4].tolist())
    rows = np.arange(8)
    expected = sensitivities(model, pixels, rows, order=range(14))
    found = sensitivities(turned, theirs, rows, order=order.tolist())
    np.testing.assert_allclose(found.irrelevant, expected.irrelevant, rtol=1e-4)
    np.testing.assert_allclose(found.target, expected.target, rtol=1e-4)
    # Nine of thirteen are looked at: another nine are another mean.
    assert not np.allclose(sensitivities(turned, theirs, rows).irrelevant, expected.irrelevant, rtol=1e-3)


def test_residual_contribution_is_a_ratio_to_the_retrained():
    assert residual_contribution(3.0, 2.0) == 1.5
    with pytest.raises(ValueError, match="expected more than 0"):
        residual_contribution(3.0, 0.0)
