"""Images without labels, as a model eats them: reference samples that nobody has labelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset, IterableDataset

from hf_unlearn.data.map_style import LABELS, PIXELS, MapStylePixels, is_image_alone
from hf_unlearn.data.pixels import PixelDataset, num_channels_of
from hf_unlearn.data.reading import makes_pixels, without_subset
from hf_unlearn.request.columns import find_image_column
from hf_unlearn.request.iterable import materialised
from hf_unlearn.request.labels import is_labelled, with_labels

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def unlabelled_pixels(
    dataset: Any,
    model: PreTrainedModel,
    image_processor: Any,
    image_column: str | None = None,
    label_column: str | None = None,
) -> PixelDataset | None:
    """A dataset without labels as `model` eats it, `labelled` being False and every label 0 in the place of one.

    - A `datasets` dataset, streaming or not, without a column of class labels, or in which no row has one (null, NaN,
      negative or blank, as in test splits whose labels are withheld).
    - A map-style dataset whose first sample is an image, a tuple of one alone, or has no label or −1.

    Args:
        image_column, label_column: names, where they are known; the label column need not exist.

    Returns:
        None if there are labels.

    Raises:
        UnlearningError: no column of images.
    """
    if dataset is None or isinstance(dataset, PixelDataset):
        return None
    if isinstance(dataset, IterableDataset):
        dataset = materialised(dataset, "the reference set")
    dataset = without_subset(dataset)
    if not isinstance(dataset, Dataset):
        if not _first_is_unlabelled(dataset, label_column):
            return None
        found: PixelDataset = _unlabelled_items(dataset, model, image_processor, image_column)
    elif is_labelled(dataset, label_column):
        return None
    elif makes_pixels(dataset, image_column):
        transformed = dataset.format["type"] == "custom"
        if transformed and not _first_is_unlabelled(dataset, label_column):
            # The transform makes the labels.
            return None
        source = dataset if transformed else dataset.select_columns([PIXELS]).with_format("numpy")
        found = _unlabelled_items(source, model, None, PIXELS)
    else:
        image_column = find_image_column(dataset, image_column if image_column in dataset.features else None)
        named = "label" if image_column != "label" else "labels"
        alike = with_labels(dataset.select_columns([image_column]), named, np.zeros(len(dataset), np.int64), ["none"])
        found = PixelDataset(alike, image_processor, image_column, named, [0], num_channels_of(model.config))
    found.labelled = False
    return found


def _unlabelled_items(
    dataset: Any, model: PreTrainedModel, image_processor: Any, image_key: str | None
) -> MapStylePixels:
    labels = torch.zeros(len(dataset), dtype=torch.long)
    return MapStylePixels(dataset, model.config, image_processor, image_key, labels=labels)


def _first_is_unlabelled(dataset: Any, label_key: str | None) -> bool:
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")) or not len(dataset):
        return False
    try:
        sample = dataset[0]
    # The dataset is the user's own code; what is wrong with it is said where it is read.
    except Exception:
        return False
    if isinstance(sample, Mapping):
        keys = (label_key,) if label_key else LABELS
        return _is_none(next((sample[key] for key in keys if key in sample), None))
    if isinstance(sample, (tuple, list)) and len(sample) == 2:
        return _is_none(sample[1])
    return is_image_alone(sample)


def _is_none(label: Any) -> bool:
    if label is None:
        return True
    array = np.asarray(label)
    return bool(array.size == 1 and array.dtype.kind in "if" and not float(array.reshape(-1)[0]) >= 0)
