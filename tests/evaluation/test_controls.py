"""The control that every class table needs: the original without the forgotten logit."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, DatasetDict
from scipy import special
from scipy.spatial.distance import jensenshannon

from hf_unlearn import ForgetRequest, compare, make_splits
from hf_unlearn.data.pixels import pixels_of
from hf_unlearn.evaluation.controls import MaskedLogits
from hf_unlearn.evaluation.metrics.accuracies import GAP_FIGURES
from hf_unlearn.evaluation.predict import predict_logits
from tests.tiny import make_dataset, make_model, make_processor

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data():
    return DatasetDict({"train": make_dataset(48), "test": make_dataset(32, seed=1)})


def judged(splits, level="fast", **models):
    given = {"model": make_model(seed=1), "original": make_model(seed=0), "references": [make_model(seed=2)]}
    return compare(**{**given, **models}, splits=splits, processing_class=make_processor(), level=level)


def test_a_mask_leaves_the_others_shares_as_they_are():
    logits = RNG.normal(size=(30, 5))
    masked = special.softmax(MaskedLogits(logits, [1, 3])[:], axis=1)
    others = [0, 2, 4]
    np.testing.assert_allclose(masked[:, others], special.softmax(logits[:, others], axis=1), atol=1e-12)
    assert masked[:, [1, 3]].max() < 1e-40


@pytest.mark.parametrize("columns", [[], [0, 1, 2]])
def test_some_are_masked_and_not_all(columns):
    with pytest.raises(ValueError, match="of 3 are masked; expected some, and not all"):
        MaskedLogits(RNG.normal(size=(4, 3)), columns)


def test_the_mask_beside_the_models(data):
    splits = make_splits(data, ForgetRequest(classes=("red", "blue")))
    results = judged(splits)
    assert list(results["models"]) == ["original", "masked", "unlearned", "retrained"]
    mask = results["models"]["masked"]
    assert mask["forget_accuracy"] == mask["test_accuracy_forgotten"] == 0
    # Against a mask that really has no probability.
    original, retrained = make_model(seed=0), make_model(seed=2)
    pixels = pixels_of(splits, "forget", original, make_processor())
    found = predict_logits({"o": original, "r": retrained}, pixels)
    left = found["o"].astype(float)
    left[:, [0, 2]] = -np.inf
    expected = np.mean(jensenshannon(special.softmax(left, 1), special.softmax(found["r"], 1), axis=1) ** 2)
    assert mask["js_divergence"] == pytest.approx(expected, rel=1e-4)
    assert mask["kl_divergence"] is None and mask["modified_entropy"] is None
    assert "infinite" in results["left_out"]["KL divergence and modified entropy of the mask"]
    gaps = [abs(mask[name] - results["models"]["retrained"][name]) for name in GAP_FIGURES]
    assert mask["average_gap"] == pytest.approx(np.mean(gaps))
    text = str(results)
    assert "mask the logit" in text and f"masked, which forgets nothing, is {mask['average_gap']:.2f}" in text


@pytest.mark.parametrize(
    ("request_", "models", "why"),
    [
        (ForgetRequest(count=5), {}, "the label stays"),
        (ForgetRequest(classes=("red",)), {"original": None}, "it takes the original model"),
    ],
)
def test_where_there_is_no_mask_it_is_said(data, request_, models, why):
    results = judged(make_splits(data, request_), **models)
    assert "masked" not in results["models"] and why in results["left_out"]["mask the logit"]
    assert "Accuracies alone" not in str(results)


def test_siblings_of_a_part_of_a_class(data):
    # Each colour comes as light or dark; the light red are forgotten, and the dark ones are their siblings.
    def shaded(dataset):
        shades = ["light red", "dark red", "green", "blue", "grey"]
        fine = [
            shades.index(("light red", "dark red")[row // 4 % 2]) if label == 0 else label + 1
            for row, label in enumerate(dataset["label"])
        ]
        return dataset.add_column("fine", fine).cast_column("fine", ClassLabel(names=shades))

    parted = DatasetDict({name: shaded(part) for name, part in data.items()})
    splits = make_splits(parted, ForgetRequest(subclasses=("light red",), subclass_column="fine"))
    results = judged(splits)
    labels = np.array(splits.test_labels())
    rows = (labels == 0) & ~splits.test_forgotten
    assert rows.sum() == 4
    model = make_model(seed=1)
    logits = predict_logits({"m": model}, pixels_of(splits, "test", model, make_processor()))["m"]
    right = logits.argmax(1) == labels
    assert results["models"]["unlearned"]["test_accuracy_siblings"] == pytest.approx(100 * right[rows].mean())
    assert "test set, siblings" in str(results)
    assert "siblings" not in str(judged(make_splits(data, ForgetRequest(classes=("red",)))))
