"""What a model says of images, for those that have no labels."""

from __future__ import annotations

import pytest

from hf_unlearn import UnlearningError, forget_splits, load_image_classifier, predict_labels
from tests.tiny import make_dataset, make_model, make_processor


def test_it_is_what_the_pipeline_says(saved_model):
    from transformers import pipeline

    images = make_dataset(10).select_columns(["image"])
    folder = saved_model()
    expected = [said[0]["label"] for said in pipeline("image-classification", model=folder)(images[:]["image"])]
    assert predict_labels(images, folder, batch_size=3) == expected
    model = load_image_classifier(folder)
    assert predict_labels(make_dataset(10), model, make_processor()) == expected
    splits = forget_splits(images, "subset", forget_label=predict_labels(images, folder))
    assert [splits.label_names[label] for label in splits.forget_labels()] == expected


def test_what_it_does_not_take(saved_model):
    with pytest.raises(UnlearningError, match="expected a datasets.Dataset"):
        predict_labels([1], saved_model())
    with pytest.raises(UnlearningError, match="image_processor is None"):
        predict_labels(make_dataset(2), make_model())
    with pytest.raises(UnlearningError, match="no column of images"):
        predict_labels(make_dataset(2).select_columns(["label"]), saved_model())
