"""A column of labels: the names of its labels, and their ids as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.request.columns import CLASS_TYPES, USUAL_LABEL_COLUMNS, is_class_column
from hf_unlearn.request.matching import in_normal_form

if TYPE_CHECKING:
    from datasets import Dataset

# A column of more values is more likely one of identifiers than one of classes.
MAX_CLASSES = 100_000
# So few samples, and so small a share of a class, teach nothing of it beside those that are forgotten.
MOST_LEFT, LEFT_SHARE = 3, 0.1


def column_array(dataset: Dataset, column: str) -> Any:
    """One column as a `pyarrow.ChunkedArray`: nothing else is read, and nothing is decoded."""
    return dataset.select_columns([column]).with_format("arrow")[:][column]


def class_codes(dataset: Dataset, column: str, what: str = "the dataset") -> tuple[np.ndarray, list[str]]:
    """The class of every row of a column of class labels, strings, integers, booleans or whole floats.

    Returns:
        int64 ids of shape (rows,), and the names, by id: those of the `ClassLabel`; the distinct strings in sorted
        order (in Unicode's normal form NFC); the digits of the distinct integers in ascending order; "False" and
        "True" for booleans.

    Raises:
        UnlearningError: if a row has no class (null, NaN or negative), or the column is of another type, or has too
            many values.
    """
    from datasets import ClassLabel

    _check_classes(dataset, column, what)
    feature = dataset.features[column]
    values = column_array(dataset, column)
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy()))
        raise UnlearningError(f"row {row} of {what} has no value in column {column!r}")
    if not isinstance(feature, ClassLabel) and "string" in feature.dtype:
        # The same name in another normal form is the same class: macOS writes file names otherwise than Linux.
        texts = [in_normal_form(text) for text in values.to_pylist()]
        ids = {name: position for position, name in enumerate(sorted(set(texts)))}
        return _few(np.array([ids[text] for text in texts], dtype=np.int64), list(ids), column, what)
    numbers = _whole_numbers(values.to_numpy(), column, what)
    if isinstance(feature, ClassLabel):
        largest = int(numbers.max()) if numbers.size else -1
        if largest >= feature.num_classes:
            raise UnlearningError(
                f"column {column!r} of {what} has the id {largest}, but there are only "
                f"{feature.num_classes} class names"
            )
        return numbers, list(feature.names)
    if feature.dtype == "bool":
        return numbers, ["False", "True"]
    distinct, codes = np.unique(numbers, return_inverse=True)
    return _few(codes.astype(np.int64), [str(number) for number in distinct.tolist()], column, what)


def codes_with_gaps(dataset: Dataset, column: str, what: str = "the dataset") -> tuple[np.ndarray, list[str]]:
    """As [`class_codes`], with the id −1 where a row has no class: null, NaN, negative or blank text.

    Raises:
        UnlearningError: the column is of another type, or has too many values.
    """
    _check_classes(dataset, column, what)
    rows = np.flatnonzero(has_label(dataset, column))
    if len(rows) == len(dataset):
        return class_codes(dataset, column, what)
    found, names = class_codes(dataset.select(rows), column, what)
    codes = np.full(len(dataset), -1, dtype=np.int64)
    codes[rows] = found
    return codes, names


def _check_classes(dataset: Dataset, column: str, what: str) -> None:
    if not is_class_column(dataset.features, column):
        raise UnlearningError(f"column {column!r} of {what} does not hold {CLASS_TYPES}")


def _whole_numbers(numbers: np.ndarray, column: str, what: str) -> np.ndarray:
    """Numbers or booleans as int64, none of them negative."""
    if numbers.dtype.kind == "f":
        # Above 2**53 not every whole number is a float.
        not_whole = ~(np.abs(numbers) < 2**53) | (numbers != np.trunc(numbers))
        if not_whole.any():
            row = int(np.argmax(not_whole))
            raise UnlearningError(
                f"row {row} of {what} has {numbers[row]} in column {column!r}; expected class labels, that is names or "
                "whole numbers"
            )
    codes = numbers.astype(np.int64)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise UnlearningError(f"row {row} of {what} has no class: column {column!r} is {codes[row]} there")
    return codes


def _few(codes: np.ndarray, names: list[str], column: str, what: str) -> tuple[np.ndarray, list[str]]:
    if len(names) > MAX_CLASSES:
        raise UnlearningError(f"column {column!r} of {what} has {len(names)} different values: these are not classes")
    return codes, names


def has_label(dataset: Dataset, column: str) -> np.ndarray:
    """Which rows have a label, boolean of shape (rows,): not null, not NaN, not negative, no blank text."""
    values = column_array(dataset, column)
    present = ~values.is_null().to_numpy()
    if "string" in str(values.type):
        return np.array([text is not None and bool(text.strip()) for text in values.to_pylist()], dtype=bool)
    if is_class_column(dataset.features, column) and str(values.type) != "bool":
        # NaN is not at least 0 either.
        present &= values.fill_null(0).to_numpy() >= 0
    return present


def is_labelled(dataset: Dataset, column: str | None = None) -> bool:
    """Whether some rows have a label, in the column of that name, or else in one that looks like class labels."""
    from datasets import ClassLabel

    if column is not None and column in dataset.features:
        columns = [column]
    else:
        classes = [name for name, feature in dataset.features.items() if isinstance(feature, ClassLabel)]
        columns = classes or [name for name in USUAL_LABEL_COLUMNS if name in dataset.features]
    return any(bool(has_label(dataset, name).any()) for name in columns)


def label_array(dataset: Dataset, column: str) -> np.ndarray:
    """The label id of every row, int64 of shape (rows,), without reading an image."""
    return class_codes(dataset, column)[0]


def label_names(dataset: Dataset, column: str, *others: Dataset) -> list[str]:
    """The names of the labels, by id.

    Args:
        dataset: the dataset whose `ClassLabel` gives the names, if it has one.
        column: the label column, of a type as for [`class_codes`].
        others: more splits of it, whose values count too where there is no `ClassLabel`.
    """
    from datasets import ClassLabel

    feature = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    numbers = _stands_for_integers(feature)
    # Names of another kind are none of these, and are found unknown when they are encoded.
    alike = [part for part in others if _stands_for_integers(part.features[column]) == numbers]
    names = set().union(*(class_codes(part, column)[1] for part in (dataset, *alike)))
    return sorted(names, key=int) if numbers and feature.dtype != "bool" else sorted(names)


def label_values(dataset: Dataset, column: str, names: list[str]) -> tuple[int, ...] | None:
    """Of a column of integers, booleans or floats: the integer that each label id stands for; of others None.

    Args:
        names: of the labels, by id, from [`label_names`].
    """
    feature = dataset.features[column]
    if not _stands_for_integers(feature):
        return None
    return (0, 1) if feature.dtype == "bool" else tuple(map(int, names))


def _stands_for_integers(feature: Any) -> bool:
    from datasets import ClassLabel

    return not isinstance(feature, ClassLabel) and "string" not in feature.dtype


def encode_labels(dataset: Dataset, column: str, names: list[str], what: str = "the dataset") -> Dataset:
    """The dataset with its label column as `ClassLabel(names)`, matched by name.

    A dataset that has it so already is returned as it is. Otherwise no other column is copied, unless the
    dataset is a selection of rows itself: `datasets` can add a column only to a whole table.

    Raises:
        UnlearningError: if a row has a label that is not among the names.
    """
    from datasets import ClassLabel

    codes, own_names = class_codes(dataset, column, what)
    if isinstance(dataset.features[column], ClassLabel) and own_names == names:
        return dataset
    alike = {in_normal_form(name): position for position, name in enumerate(names)}
    exact = {name: position for position, name in enumerate(names)}
    ids = {name: exact.get(name, alike.get(in_normal_form(name), -1)) for name in own_names}
    unknown = [own_names[code] for code in np.unique(codes) if ids[own_names[code]] < 0]
    if unknown:
        raise UnlearningError(
            f"label {unknown[0]!r} of {what} is not a label of the train split; {did_you_mean(unknown[0], names)}"
        )
    lookup = np.array([ids[name] for name in own_names], dtype=np.int64)
    return with_labels(dataset, column, lookup[codes], names)


def with_labels(dataset: Dataset, column: str, codes: np.ndarray, names: list[str]) -> Dataset:
    """The dataset with `column` as `ClassLabel(names)`, in the place of one of that name if there is any.

    Args:
        codes: the label id of every row, int64 of shape (rows,).
    """
    from datasets import ClassLabel

    # A cast would write the whole table again, images included; a column beside the others does not.
    # It comes before the old one goes, since a dataset without columns has no rows either.
    new = f"__encoded_{column}__"
    with quiet_unless_terminal():
        encoded = dataset.add_column(new, codes, feature=ClassLabel(names=names))
    if column in dataset.column_names:
        encoded = encoded.remove_columns(column)
    return encoded.rename_column(new, column)


def classes_gone(forget_labels: np.ndarray, retain_labels: np.ndarray) -> np.ndarray:
    """The classes of a forget set that nothing teaches any more: at most 3 samples are left, and 10 % of theirs.

    Args:
        forget_labels, retain_labels: label ids, of shapes (m,) and (n,).

    Returns:
        Sorted label ids.
    """
    found, counts = np.unique(forget_labels, return_counts=True)
    left = np.array([(retain_labels == label).sum() for label in found], dtype=np.int64)
    return found[(left == 0) | ((left <= MOST_LEFT) & (left <= LEFT_SHARE * (left + counts)))]
