"""The image and the label column of a dataset, found from its features or named."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from hf_unlearn.errors import UnlearningError, did_you_mean, one_line, there_are

if TYPE_CHECKING:
    from datasets import Dataset, Features

# Preferred when a dataset has several columns of class labels.
USUAL_LABEL_COLUMNS = ("label", "labels")
# Rows that tell whether a column of strings names image files.
_LOOKED_AT = 100
CLASS_TYPES = "class labels, strings or integers"
_CLASS_DTYPES = ("int", "uint", "string", "large_string", "bool", "float")


def find_image_column(dataset: Dataset, name: str | None = None) -> str:
    """The name of the column of images.

    A column with the `Image` feature. If named, or if there is none of these, also what holds images in another form:
    structs of bytes and path, which is how `datasets` stores images; bytes; paths of image files.

    Args:
        dataset: the split to look at.
        name: a column that overrides the search.

    Raises:
        UnlearningError: if the named column does not exist or has no images, or if not exactly one is found.
    """
    forms = {column: form for column in dataset.features if (form := _image_form(dataset, column)) is not None}
    if name is not None:
        check_column(dataset.features, name, "image column")
        if name not in forms:
            raise UnlearningError(f"image column {name!r} does not hold images; columns that do: {there_are(forms)}")
        return name
    found = [column for column, form in forms.items() if form == min(forms.values())]
    if not found:
        raise UnlearningError(f"this dataset has no column of images; there are: {there_are(dataset.features)}")
    if len(found) > 1:
        raise UnlearningError(f"this dataset has several columns of images, name one of: {there_are(found)}")
    return found[0]


def find_label_column(
    dataset: Dataset,
    name: str | None = None,
    exclude: str | None = None,
    fits: Callable[[str], bool] | None = None,
) -> str:
    """The name of the column of class labels.

    A column with the `ClassLabel` feature: the only one, or the one called `label` or `labels`, or the only one that
    fits. A column of strings or numbers is taken when named, or when it is called so and there is no `ClassLabel`.

    Args:
        dataset: the split to look at.
        name: a column that overrides the search.
        exclude: a column that is not to be found, such as that of the sub-classes.
        fits: asked of a column where there are several.

    Raises:
        UnlearningError: if the named column does not exist or has no classes, or if no single one is found.
    """
    from datasets import ClassLabel

    features = dataset.features
    if name is not None:
        check_column(features, name, "label column")
        if not is_class_column(features, name):
            raise UnlearningError(
                f"label column {name!r} does not hold {CLASS_TYPES}; columns that do: "
                f"{there_are(column for column in features if is_class_column(features, column))}"
            )
        return name
    found = [column for column, feature in features.items() if isinstance(feature, ClassLabel) and column != exclude]
    usual = [column for column in USUAL_LABEL_COLUMNS if column in found]
    if len(found) == 1 or usual:
        return (usual or found)[0]
    fitting = [column for column in found if fits is not None and fits(column)]
    if len(fitting) == 1:
        return fitting[0]
    if found:
        raise UnlearningError(f"this dataset has several columns of class labels, name one of: {there_are(found)}")
    candidates = [column for column in features if is_class_column(features, column) and column != exclude]
    usual = [column for column in USUAL_LABEL_COLUMNS if column in candidates]
    if usual:
        return usual[0]
    raise UnlearningError(
        f"this dataset has no column of class labels; name one if it is one of: {there_are(candidates)}"
    )


def check_column(features: Features, name: str, what: str) -> None:
    """Raise an error that lists the columns if there is none called `name`."""
    if name not in features:
        raise UnlearningError(f"{what} {name!r} does not exist; {did_you_mean(name, features)}")


def is_class_column(features: Features, name: str) -> bool:
    """Whether the column can be read as classes: class labels, strings or numbers (whole ones, or booleans)."""
    from datasets import ClassLabel, Value

    feature = features[name]
    if isinstance(feature, ClassLabel):
        return True
    return isinstance(feature, Value) and feature.dtype.startswith(_CLASS_DTYPES)


def as_image_column(dataset: Dataset, column: str) -> Dataset:
    """The dataset with the column decoded to images on access, whichever way it is stored.

    The format or transform that it was given is undone: `save_to_disk` keeps a format, of which nobody thinks any more.

    Raises:
        UnlearningError: what the column holds cannot be made images.
    """
    from datasets import Image

    dataset = dataset.with_format(None)
    feature = dataset.features[column]
    if isinstance(feature, Image) and feature.decode:
        return dataset
    try:
        return dataset.cast_column(column, Image())
    except (ValueError, TypeError, NotImplementedError) as error:
        # Of arrow, whose errors are these.
        raise UnlearningError(f"column {column!r} cannot be read as images: {one_line(error)}") from error


def _image_form(dataset: Dataset, column: str) -> int | None:
    """In what form a column holds images, the likelier the lower, or None if it holds none."""
    from datasets import Image, Value

    feature = dataset.features[column]
    if isinstance(feature, Image):
        return 0
    if isinstance(feature, dict):
        return 1 if feature and set(feature) <= {"bytes", "path"} else None
    if isinstance(feature, Value):
        if "binary" in feature.dtype:
            return 2
        return 3 if "string" in feature.dtype and _names_image_files(dataset, column) else None
    return None


def _names_image_files(dataset: Dataset, column: str) -> bool:
    import PIL.Image

    some = dataset.select(range(min(len(dataset), _LOOKED_AT))).select_columns([column]).with_format("arrow")[:][column]
    given = [text for text in some.to_pylist() if text]
    kinds = PIL.Image.registered_extensions()
    # PIL has formats that it only writes, such as PDF.
    return bool(given) and all(kinds.get(os.path.splitext(text)[1].lower()) in PIL.Image.OPEN for text in given)
