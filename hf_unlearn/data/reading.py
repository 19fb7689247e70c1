"""Whatever a user gives as a dataset, as a model eats it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from datasets import ClassLabel, Dataset, IterableDataset
from torch.utils.data import Subset

from hf_unlearn.data.map_style import PIXELS, MapStylePixels
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.errors import UnlearningError, there_are
from hf_unlearn.models.labels import id2label_of
from hf_unlearn.request import find_label_column, label_array, label_names, match_labels
from hf_unlearn.request.columns import check_column
from hf_unlearn.request.iterable import materialised
from hf_unlearn.request.label_mapping import LabelMapping, as_label_mapping
from hf_unlearn.request.labelled import label_parts
from hf_unlearn.request.labels import label_values
from hf_unlearn.request.matching import mapped_part

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def as_pixels(
    dataset: Any,
    model: PreTrainedModel,
    processing_class: Any,
    image_column: str | None,
    label_column: str | None,
    label_mapping: LabelMapping | os.PathLike | None = None,
) -> Any:
    """A dataset as `model` eats it, its columns found or named; None and what is so already as it is.

    - A `datasets` dataset with images, whose format or transform is undone, unless the transform makes `pixel_values`;
      or one with a column of `pixel_values` that are ready for the model. Of several columns of class labels it is the
      one whose labels the model has. Labels may be names or numbers, too.
    - A streaming one, which is read into memory (see [`materialised`]).
    - Any map-style dataset, torch's `Subset` and a list among them: see [`MapStylePixels`].

    Raises:
        UnlearningError: no such column, a label that the model does not have, or no image processor; what is no dataset
            of one split, or of no known length.
    """
    if dataset is None or isinstance(dataset, PixelDataset):
        return dataset
    if isinstance(dataset, IterableDataset):
        dataset = materialised(dataset, "the dataset")
    dataset = without_subset(dataset)
    if isinstance(dataset, Mapping):
        raise UnlearningError(
            f"the dataset is a {type(dataset).__name__} of {there_are(dataset)}; expected one of its splits"
        )
    if not isinstance(dataset, Dataset):
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise UnlearningError(
                f"the dataset is a {type(dataset).__name__}, without a length or samples by position; expected a "
                "map-style dataset"
            )
        return MapStylePixels(dataset, model.config, processing_class, image_column, label_column)
    if makes_pixels(dataset, image_column):
        return _with_ready_pixels(dataset, model, label_column, label_mapping)
    id2label = id2label_of(model.config)
    mapping = as_label_mapping(label_mapping)

    def knows(column: str) -> bool:
        names = label_names(dataset, column)
        try:
            used = label_array(dataset, column).tolist()
            match_labels(names, id2label, mapped_part(mapping, names), used=used)
        except UnlearningError:
            return False
        return True

    labelled = label_parts({"the dataset": dataset}, image_column, label_column, fits=knows)
    return PixelDataset.for_model(
        labelled.parts[0],
        model.config,
        processing_class,
        labelled.image_column,
        labelled.label_column,
        labelled.label_names,
        mapped_part(mapping, labelled.label_names, labelled.label_values),
        labelled.label_values,
        # Of names that are only in the rows there may be more in other rows.
        complete=isinstance(dataset.features[labelled.label_column], ClassLabel),
    )


def without_subset(dataset: Any) -> Any:
    """Rows of a `datasets` dataset that a `Subset` names, as one itself; anything else as it is."""
    if not isinstance(dataset, Subset):
        return dataset
    whole = without_subset(dataset.dataset)
    return whole.select(list(dataset.indices)) if isinstance(whole, Dataset) else dataset


def makes_pixels(dataset: Dataset, image_column: str | None) -> bool:
    """Whether the samples have pixels that are ready for the model: in a column, or from the dataset's transform."""
    if image_column not in (None, PIXELS) or not len(dataset):
        return False
    if dataset.format["type"] != "custom":
        return PIXELS in dataset.features
    try:
        return PIXELS in dataset[0]
    # The transform is the user's own code, and may be for something else.
    except Exception:
        return False


def _with_ready_pixels(
    dataset: Dataset, model: PreTrainedModel, label_column: str | None, label_mapping: Any
) -> MapStylePixels:
    mapping = as_label_mapping(label_mapping)
    if label_column is not None:
        check_column(dataset.features, label_column, "label column")
    transformed = dataset.format["type"] == "custom"
    try:
        column = find_label_column(dataset, label_column)
    except UnlearningError:
        if not transformed:
            raise
        # The transform makes the labels, too.
        return MapStylePixels(dataset, model.config, None)
    names = label_names(dataset, column)
    values = label_values(dataset, column, names)
    codes = label_array(dataset, column)
    class_ids = match_labels(
        names,
        id2label_of(model.config),
        mapped_part(mapping, names, values),
        values=values,
        used=codes.tolist(),
        complete=isinstance(dataset.features[column], ClassLabel),
    )
    source = dataset if transformed else dataset.select_columns([PIXELS]).with_format("numpy")
    return MapStylePixels(source, model.config, None, labels=torch.tensor(class_ids)[torch.from_numpy(codes)])
