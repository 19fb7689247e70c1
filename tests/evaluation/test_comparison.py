"""The comparison: every model on every split, with its own preprocessing and label order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, UnlearningError, make_splits
from hf_unlearn.evaluation.comparison import compare
from hf_unlearn.evaluation.predict import Contestant, predict_logits
from hf_unlearn.evaluation.table import comparison_table
from hf_unlearn.models.from_scratch import new_image_processor
from hf_unlearn.models.pixels import PixelDataset
from tests.tiny import LABELS, make_dataset, make_model, make_processor


@pytest.fixture(scope="module")
def splits():
    dataset = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    return make_splits(dataset, ForgetRequest(classes=("red",)))


class ByColour(torch.nn.Module):
    """Answers red, green or blue by the strongest channel: always right but for grey."""

    def __init__(self, label_names=LABELS, never=None):
        super().__init__()
        self.config = make_model(label_names=label_names).config
        self.dtype, self.device = torch.float32, torch.device("cpu")
        self.never = never

    def forward(self, pixel_values):
        means = dict(zip(["red", "green", "blue"], pixel_values.mean((2, 3)).T, strict=True))
        lowest = torch.full((len(pixel_values),), -9.0)
        names = [self.config.id2label[index] for index in range(4)]
        return {"logits": torch.stack([lowest if n == self.never else means.get(n, lowest) for n in names], dim=1)}


def test_figures_by_hand(splits):
    contestants = {
        "original": Contestant("a", ByColour(), make_processor()),
        "unlearned": Contestant("b", ByColour(never="red"), make_processor()),
        "retrained": Contestant("c", ByColour(never="red"), make_processor()),
    }
    models = compare(contestants, splits)["models"]
    # A quarter of each set is red, a quarter grey, which this model never gets right.
    assert models["original"] == {
        "name": "a",
        "forget_accuracy": 100.0,
        "retain_accuracy": pytest.approx(200 / 3),
        "test_accuracy": 75.0,
        "test_accuracy_remaining": pytest.approx(200 / 3),
        "test_accuracy_forgotten": 100.0,
        "average_gap": pytest.approx((100 + 0 + 25) / 3),
    }
    assert models["unlearned"]["forget_accuracy"] == 0 and models["unlearned"]["average_gap"] == 0


def test_each_model_has_its_own_label_order_and_preprocessing(splits):
    contestants = {
        "original": Contestant("a", ByColour(), make_processor()),
        "unlearned": Contestant("b", ByColour(LABELS[::-1]), new_image_processor(24)),
    }
    models = compare(contestants, splits)["models"]
    assert models["original"]["test_accuracy"] == models["unlearned"]["test_accuracy"] == 75.0


def test_without_a_test_set(splits):
    alone = make_splits(DatasetDict({"train": make_dataset(32)}), ForgetRequest(classes=("red",)))
    figures = compare({"unlearned": Contestant("a", ByColour(), make_processor())}, alone)["models"]["unlearned"]
    assert figures["forget_accuracy"] == 100.0
    assert figures["test_accuracy"] is None and figures["average_gap"] is None


def test_an_unknown_role_is_refused(splits):
    with pytest.raises(UnlearningError, match="role 'teacher'"):
        compare({"teacher": Contestant("a", ByColour(), make_processor())}, splits)


def test_logits_come_in_the_datasets_order():
    model = make_model()
    pixels = PixelDataset(make_dataset(10), make_processor(), "image", "label", range(4))
    whole = predict_logits({"m": model}, pixels, batch_size=10)["m"]
    np.testing.assert_allclose(predict_logits({"m": model}, pixels, batch_size=3)["m"], whole, rtol=1e-4, atol=1e-6)


def test_the_table_has_a_column_a_model_and_says_which_way_is_good(splits):
    contestants = {
        "unlearned": Contestant("b", ByColour(never="red"), make_processor()),
        "retrained": Contestant("c", ByColour(never="red"), make_processor()),
    }
    table = comparison_table(compare(contestants, splits))
    assert "unlearned" in table and "retrained (target)" in table and "the lower the better" in table
