"""Labels: their names in the dataset, their ids as arrays, and their match with a model's labels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.errors import UnlearningError, did_you_mean, there_are
from hf_unlearn.request.columns import is_class_column

if TYPE_CHECKING:
    from datasets import Dataset

# A column of integers up to here may be class ids; above, it is more likely an identifier.
MAX_CLASSES = 100_000

_GENERIC_LABEL = re.compile(r"LABEL_\d+")


def column_array(dataset: Dataset, column: str) -> Any:
    """One column as a `pyarrow.ChunkedArray`: nothing else is read, and nothing is decoded."""
    return dataset.select_columns([column]).with_format("arrow")[:][column]


def class_codes(dataset: Dataset, column: str, what: str = "the dataset") -> tuple[np.ndarray, list[str]]:
    """The class of every row of a column of class labels, strings or integers.

    Returns:
        int64 ids of shape (rows,), and the names, by id: those of the `ClassLabel`, the distinct strings in
        sorted order, or "0" to "K-1" for integers.

    Raises:
        UnlearningError: if a row has no class (null or negative), or the column is of another type.
    """
    from datasets import ClassLabel

    if not is_class_column(dataset.features, column):
        raise UnlearningError(f"column {column!r} of {what} does not hold class labels, strings or integers")
    feature = dataset.features[column]
    values = column_array(dataset, column)
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy()))
        raise UnlearningError(f"row {row} of {what} has no value in column {column!r}")
    if not isinstance(feature, ClassLabel) and "string" in feature.dtype:
        texts = np.array(values.to_pylist(), dtype=object)
        names, codes = np.unique(texts, return_inverse=True)
        return codes.astype(np.int64), [str(name) for name in names]
    codes = values.to_numpy().astype(np.int64)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise UnlearningError(f"row {row} of {what} has no class: column {column!r} is {codes[row]} there")
    largest = int(codes.max()) if codes.size else -1
    if isinstance(feature, ClassLabel):
        if largest >= feature.num_classes:
            raise UnlearningError(
                f"column {column!r} of {what} has the id {largest}, but there are only "
                f"{feature.num_classes} class names"
            )
        return codes, list(feature.names)
    if largest >= MAX_CLASSES:
        raise UnlearningError(f"column {column!r} of {what} has values up to {largest}: these are not class ids")
    return codes, [str(code) for code in range(largest + 1)]


def label_array(dataset: Dataset, column: str) -> np.ndarray:
    """The label id of every row, int64 of shape (rows,), without reading an image."""
    return class_codes(dataset, column)[0]


def label_names(dataset: Dataset, column: str, *others: Dataset) -> list[str]:
    """The names of the labels, by id.

    Args:
        dataset: the dataset whose `ClassLabel` gives the names, if it has one.
        column: the label column: class labels, strings or integers.
        others: more splits of it, whose strings or integers count too where there is no `ClassLabel`.
    """
    from datasets import ClassLabel

    feature = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    lists = [class_codes(part, column)[1] for part in (dataset, *others)]
    if "string" in feature.dtype:
        return sorted(set().union(*lists))
    return max(lists, key=len)


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
    ids = {name: position for position, name in enumerate(names)}
    unknown = [own_names[code] for code in np.unique(codes) if own_names[code] not in ids]
    if unknown:
        raise UnlearningError(
            f"label {unknown[0]!r} of {what} is not a label of the train split; {did_you_mean(unknown[0], names)}"
        )
    lookup = np.array([ids.get(name, -1) for name in own_names], dtype=np.int64)
    # A cast would write the whole table again, images included; a column beside the others does not.
    # It comes before the old one goes, since a dataset without columns has no rows either.
    new = f"__encoded_{column}__"
    encoded = dataset.add_column(new, lookup[codes], feature=ClassLabel(names=names))
    return encoded.remove_columns(column).rename_column(new, column)


def resolve_classes(wanted: Iterable[str | int], names: Sequence[str], what: str = "forget class") -> list[int]:
    """The sorted ids of classes given by name or id; digits in a string are an id only if no class has that
    name.

    Raises:
        UnlearningError: if one is neither, with the nearest names.
    """
    ids = {name: position for position, name in enumerate(names)}
    found = set()
    for value in wanted:
        if isinstance(value, str) and value in ids:
            found.add(ids[value])
            continue
        number = int(value) if isinstance(value, int) or (value.isascii() and value.isdigit()) else None
        if number is None:
            raise UnlearningError(f"{what} {value!r} is not a label of this dataset; {did_you_mean(value, names)}")
        if not 0 <= number < len(names):
            raise UnlearningError(
                f"{what} {value!r} is not a label of this dataset: its ids are 0 to {len(names) - 1}, "
                f"its names: {there_are(names)}"
            )
        found.add(number)
    return sorted(found)


def match_labels(names: Sequence[str], label2id: Mapping[str, int]) -> list[int]:
    """The model's class id of every label of the dataset, matched by name.

    Exactly, or else ignoring case and reading `_`, `-` and spaces as the same. A model with generic labels
    (LABEL_0, LABEL_1, ...) and at least as many classes is taken in order. The model may have more classes
    than the dataset.

    Args:
        names: the dataset's label names, by id.
        label2id: the model's `config.label2id`.

    Returns:
        A list as long as `names`: position = dataset label id, value = model class id.

    Raises:
        UnlearningError: if the model has fewer than two labels, if a name is missing from it, or if a name
            could be several of its labels.
    """
    if len(label2id) < 2:
        raise UnlearningError(
            f"the model has {len(label2id)} label, {there_are(label2id)}: a classifier needs at least two"
        )
    exact = {str(label): int(position) for label, position in label2id.items()}
    if not all(name in exact for name in names) and all(_GENERIC_LABEL.fullmatch(label) for label in exact):
        if len(names) > len(exact):
            raise UnlearningError(f"the dataset has {len(names)} labels, the model only {len(exact)}")
        return list(range(len(names)))
    by_folded = defaultdict(list)
    for label in exact:
        by_folded[_fold(label)].append(label)
    matched: dict[str, str] = {}
    missing = []
    for name in names:
        candidates = [name] if name in exact else by_folded[_fold(name)]
        if len(candidates) > 1:
            raise UnlearningError(f"label {name!r} could be any of the model's labels {there_are(candidates)}")
        if not candidates:
            missing.append(name)
        elif candidates[0] in matched:
            raise UnlearningError(
                f"labels {matched[candidates[0]]!r} and {name!r} both match the model's label {candidates[0]!r}"
            )
        else:
            matched[candidates[0]] = name
    if missing:
        raise UnlearningError(f"the model lacks the labels {there_are(missing)}; it has: {there_are(exact)}")
    return [exact[label] for label in matched]


def _fold(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.casefold().strip(" _-")))
