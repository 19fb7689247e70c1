"""From a request to the rows of the train split that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hf_unlearn.errors import UnlearningError, did_you_mean, there_are
from hf_unlearn.request.columns import check_column
from hf_unlearn.request.images import sample_digests
from hf_unlearn.request.indices import check_range, read_indices
from hf_unlearn.request.labels import codes_with_gaps, column_array, label_array, label_names, label_values
from hf_unlearn.request.matching import in_normal_form, resolve_classes

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_unlearn.request.forget_request import ForgetRequest


def select_rows(
    request: ForgetRequest,
    train: Dataset,
    label_column: str,
    values: Sequence[int] | None = None,
    other_names: Mapping[str, int] | None = None,
) -> tuple[np.ndarray, ForgetRequest]:
    """The rows of the train split to forget.

    Args:
        request: any kind but `dataset_config` and `split`, whose forget set is not a selection.
        train: the train split, with its labels encoded.
        label_column: the name of its label column.
        values: of a label column of integers, what each label id stands for there.
        other_names: what the labels are called in the model, by a label mapping.

    Returns:
        Sorted int64 indices, and the request resolved: classes by name, a file of indices as the indices.

    Raises:
        UnlearningError: if a class, column, value or index is not in the train split, or the count is too
            large.
    """
    if request.kind == "class":
        names = label_names(train, label_column)
        ids = resolve_classes(request.classes, names, values=values, other_names=other_names)
        rows = _rows_of_classes(label_array(train, label_column), ids, names, "class")
        return rows, replace(request, classes=tuple(names[position] for position in ids))
    if request.kind == "subclass":
        assert request.subclass_column is not None
        check_column(train.features, request.subclass_column, "sub-class column")
        codes, names = codes_with_gaps(train, request.subclass_column, "the train split")
        if (codes < 0).all():
            raise UnlearningError(f"no row of the train split has a value in column {request.subclass_column!r}")
        finer = label_values(train, request.subclass_column, names)
        ids = resolve_classes(request.subclasses, names, "forget sub-class", finer)
        rows = _rows_of_classes(codes, ids, names, "sub-class")
        return rows, replace(request, subclasses=tuple(names[position] for position in ids))
    if request.kind == "where":
        return _rows_where(request, train, {label_column: values}), request
    if request.kind == "indices":
        assert request.indices is not None
        given = request.indices
        if isinstance(given, str):
            given = read_indices(given)
        rows = check_range(given, len(train))
        return rows, replace(request, indices=tuple(rows.tolist()))
    return _random_rows(request, train, label_column), request


def given_forget_set(
    dataset: DatasetDict,
    request: ForgetRequest,
    train_split: str,
    load_config: Callable[[str], DatasetDict] | None,
) -> Dataset:
    """The forget set that is a split, or the train split of a configuration, by itself.

    Raises:
        UnlearningError: the configuration cannot be loaded, or has no such split.
    """
    if request.split is not None:
        return dataset[request.split]
    assert request.dataset_config is not None
    if load_config is None:
        raise UnlearningError(
            f"the dataset configuration {request.dataset_config!r} cannot be loaded: no load_config was given"
        )
    other = load_config(request.dataset_config)
    if train_split in other:
        return other[train_split]
    if len(other) == 1:
        return next(iter(other.values()))
    raise UnlearningError(
        f"the dataset configuration {request.dataset_config!r} has no split {train_split!r}; "
        f"there are: {there_are(other)}"
    )


def rows_in(train: Dataset, forget: Dataset, image_column: str, label_column: str) -> np.ndarray:
    """The rows of the train split that are the same sample as one of the forget set, copies included; sorted int64."""
    forgotten = set(sample_digests(forget, image_column, label_column))
    digests = sample_digests(train, image_column, label_column)
    return np.array([row for row, digest in enumerate(digests) if digest in forgotten], dtype=np.int64)


def test_forgotten(
    request: ForgetRequest, test: Dataset | None, label_column: str, forgotten: np.ndarray
) -> np.ndarray:
    """Which test samples belong to what was forgotten, boolean of shape (test rows,); see `UnlearningSplits`."""
    if test is None:
        return np.zeros(0, dtype=bool)
    gone = np.isin(label_array(test, label_column), forgotten)
    if request.subclass_column is not None and request.subclass_column in test.features:
        gone |= rows_of_subclasses(test, request.subclass_column, request.subclasses)
    return gone


def counted_among(request: ForgetRequest, rows: np.ndarray, size: int) -> ForgetRequest:
    """The request with indices, if it has any, that count the rows in use instead of all rows of the train split.

    Args:
        rows: the rows in use, sorted int64.
        size: of the train split.

    Raises:
        UnlearningError: an index is out of range, or of a row that is not in use.
    """
    if request.indices is None or len(rows) == size:
        return request
    given = read_indices(request.indices) if isinstance(request.indices, str) else request.indices
    wanted = check_range(given, size)
    unused = np.setdiff1d(wanted, rows)
    if len(unused):
        raise UnlearningError(f"row {unused[0]} of the train split, which is to be forgotten, has no label")
    return replace(request, indices=tuple(np.searchsorted(rows, wanted).tolist()))


def rows_of_subclasses(dataset: Dataset, column: str, names: tuple[str | int, ...]) -> np.ndarray:
    """A boolean array of shape (rows,): whether the row's sub-class is one of the names."""
    codes, own_names = codes_with_gaps(dataset, column, "the test split")
    wanted = {str(name) for name in names}
    return np.isin(codes, [code for code, name in enumerate(own_names) if name in wanted])


def random_rows(size: int, num_samples: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """`num_samples` distinct rows of `size`, as sorted int64, drawn with `numpy.random.default_rng(seed)`.

    With `labels` (int64, shape (size,)) the draw is stratified: every class gives its share, rounded by
    largest remainder so that the total is exact; of equal remainders, the lower label id comes first.
    """
    generator = np.random.default_rng(seed)
    if labels is None:
        return np.sort(generator.choice(size, num_samples, replace=False)).astype(np.int64)
    classes, counts = np.unique(labels, return_counts=True)
    # Whole numbers all through: shares as floats could make a class give more than it has.
    shares, remainders = np.divmod(counts * num_samples, size)
    largest = np.argsort(-remainders, kind="stable")[: num_samples - int(shares.sum())]
    shares[largest] += 1
    drawn = [
        generator.choice(np.flatnonzero(labels == label), share, replace=False)
        for label, share in zip(classes, shares, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _random_rows(request: ForgetRequest, train: Dataset, label_column: str) -> np.ndarray:
    size = len(train)
    if request.fraction is not None:
        num_samples = max(1, round(request.fraction * size))
    else:
        assert request.count is not None
        num_samples = request.count
    if num_samples > size:
        raise UnlearningError(f"forget count {num_samples} is more than the {size} samples of the train split")
    labels = label_array(train, label_column) if request.stratify else None
    return random_rows(size, num_samples, request.seed, labels)


def _rows_of_classes(codes: np.ndarray, ids: list[int], names: list[str], what: str) -> np.ndarray:
    for position in ids:
        if not (codes == position).any():
            raise UnlearningError(
                f"the forget set is empty: no sample of the train split has the {what} {names[position]!r}"
            )
    return np.flatnonzero(np.isin(codes, ids)).astype(np.int64)


def _rows_where(request: ForgetRequest, train: Dataset, values: Mapping[str, Sequence[int] | None]) -> np.ndarray:
    mask = np.ones(len(train), dtype=bool)
    for column, wanted in request.where.items():
        mask &= _has_value(train, column, wanted, values.get(column))
    if not mask.any():
        columns = " and ".join(repr(column) for column in request.where)
        raise UnlearningError(f"the forget set is empty: no row has the values given of {columns} together")
    return np.flatnonzero(mask).astype(np.int64)


def _has_value(
    train: Dataset, column: str, wanted: tuple[str, ...], integers: Sequence[int] | None = None
) -> np.ndarray:
    from datasets import ClassLabel, Value

    check_column(train.features, column, "column")
    feature = train.features[column]
    if not isinstance(feature, (ClassLabel, Value)):
        raise UnlearningError(f"column {column!r} does not hold plain values to compare with")
    values = column_array(train, column).to_pylist()
    if isinstance(feature, ClassLabel):
        ids = resolve_classes(wanted, feature.names, f"{column!r} value", integers)
        wanted = tuple(str(position) for position in ids)
    as_text = _text_as_in(feature.dtype)
    # A row without a value has none to match, not the text "None".
    texts = [None if value is None or value != value else as_text(str(value)) for value in values]
    wanted = tuple(as_text(value) for value in wanted)
    present = {text for text in texts if text is not None}
    for value in wanted:
        # Each value by itself: a mistyped one in a person's request must not pass because the others match.
        if value not in present:
            shown = feature.names[int(value)] if isinstance(feature, ClassLabel) else value
            raise UnlearningError(
                f"the forget set is empty: no row has {shown!r} in column {column!r}; "
                f"{did_you_mean(value, sorted(present))}"
            )
    return np.array([text in wanted for text in texts], dtype=bool)


def _text_as_in(dtype: str) -> Callable[[str], str]:
    """What makes one text of all ways to write a value of a column: 42 and 42.0 are one person.

    Whoever reads a table with gaps through pandas has floats of what were integers.
    """

    def number(text: str) -> str:
        try:
            value = np.dtype(dtype).type(float(text))
        except (ValueError, OverflowError):
            return in_normal_form(text)
        return str(value).removesuffix(".0")

    if dtype in ("float16", "float32", "float64"):
        return number
    if dtype.startswith(("int", "uint")):
        # Not through a float, which has not all of them.
        return lambda text: re.sub(r"(?<=\d)\.0*$", "", in_normal_form(text))
    if dtype == "bool":
        return lambda text: text.capitalize()
    return in_normal_form
