"""What a model says of images that have no labels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from hf_unlearn.data.pixels import PixelDataset, try_forward
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.predict import predict_logits
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.request import find_image_column
from hf_unlearn.request.columns import as_image_column


def predict_labels(
    images: Dataset,
    model: PreTrainedModel | str | os.PathLike,
    image_processor: Any = None,
    *,
    image_column_name: str | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    trust_remote_code: bool = False,
) -> list[str]:
    """The likeliest label of each image, by the model: labels for [`hf_unlearn.forget_splits`] where there are none.

    Ask the model that is to forget, before it does. It may be wrong of some: look at what it says.

    Args:
        images: a dataset with a column of images; a column of labels is not looked at.
        model: an image classifier, or its name on the Hub or folder.
        image_processor: by default the one that comes with the model.
        image_column_name: by default the column with the `Image` feature.
        batch_size: images a forward pass.
        device: by default the model's.
        trust_remote_code: run code that comes with a model by name.

    Returns:
        One name for each image, of the model's `config.id2label`.

    Raises:
        UnlearningError: no such model or column, an image that cannot be read, or one that the model does not take.
    """
    if not isinstance(images, Dataset):
        raise UnlearningError(f"images are a {type(images).__name__}; expected a datasets.Dataset")
    if isinstance(model, (str, os.PathLike)):
        image_processor = image_processor or load_image_processor(model, trust_remote_code=trust_remote_code)
        model = load_image_classifier(model, trust_remote_code=trust_remote_code)
    if image_processor is None:
        raise UnlearningError("image_processor is None; expected the model's")
    logits = logits_of(images, {"m": model}, image_processor, image_column_name, batch_size, device)["m"]
    names = id2label_of(model.config)
    return [names.get(int(answer), str(answer)) for answer in logits.argmax(axis=1)]


def logits_of(
    images: Dataset,
    models: Mapping[str, PreTrainedModel],
    image_processor: Any,
    image_column_name: str | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
) -> dict[str, np.ndarray]:
    """What models with one image processor say of images, by role: float32 `(images, num_labels)`.

    Args and errors as of [`predict_labels`].
    """
    column = find_image_column(images, image_column_name)
    # Labels that nobody looks at: what is read here are the images.
    unlabelled = as_image_column(images.select_columns([column]), column)
    unlabelled = unlabelled.add_column("label", np.zeros(len(images), dtype=np.int64))
    model = next(iter(models.values()))
    channels = getattr(model.config, "num_channels", 3)
    pixels = PixelDataset(unlabelled, image_processor, column, "label", [0], channels)
    try_forward(model, pixels)
    return predict_logits(models, pixels, batch_size, device or model.device, "Asking the model")
