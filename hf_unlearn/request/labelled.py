"""Which splits of a dataset are for what, with their images and labels found and made alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.errors import UnlearningError, did_you_mean, there_are, warn_once
from hf_unlearn.progress import quiet_unless_terminal
from hf_unlearn.request.columns import as_image_column, find_image_column, find_label_column
from hf_unlearn.request.labels import encode_labels, has_label, label_names, label_values

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

USUAL_TEST_SPLITS = ("test", "validation", "valid", "val")


@dataclass(frozen=True, eq=False)
class LabelledParts:
    """Datasets whose image column decodes to PIL images and whose label column is a `ClassLabel` of the same names.

    Attributes:
        parts: the datasets, in the order in which they were given.
        names: what messages call them.
        image_column: the name of the image column, in all of them.
        label_column: the name of the label column, in all of them.
        label_names: the names of the labels, by label id.
        label_values: where the label column held integers (or booleans, or whole floats), the one that each label id
            stands for; else None.
    """

    parts: list[Dataset]
    names: list[str]
    image_column: str
    label_column: str
    label_names: list[str]
    label_values: tuple[int, ...] | None = None


def label_parts(
    parts: Mapping[str, Dataset],
    image_column_name: str | None = None,
    label_column_name: str | None = None,
    exclude: str | None = None,
    fits: Callable[[str], bool] | None = None,
) -> LabelledParts:
    """Find the image and the label column in the first part, and make all parts alike in them.

    Args:
        parts: datasets, by what messages call them. The first one decides.
        image_column_name: by default the column with the `Image` feature.
        label_column_name: by default the column with the `ClassLabel` feature.
        exclude: a column that is not the label column.
        fits: asked of a column where several hold class labels.

    Raises:
        UnlearningError: an empty first part, or a column that one of the parts lacks.
    """
    (what, first), *others = parts.items()
    if not len(first):
        raise UnlearningError(f"{what} is empty")
    image_column = find_image_column(first, image_column_name)
    label_column = find_label_column(first, label_column_name, exclude=exclude, fits=fits)
    for what, part in parts.items():
        _check_columns(part, (image_column, label_column), what)
    names = label_names(first, label_column, *(part for _, part in others))
    with quiet_unless_terminal():
        alike = [
            encode_labels(as_image_column(part, image_column), label_column, names, what)
            for what, part in parts.items()
        ]
    return LabelledParts(
        alike, list(parts), image_column, label_column, names, label_values(first, label_column, names)
    )


@dataclass(frozen=True, eq=False)
class SplitRows:
    """The rows of a split that have a label.

    Attributes:
        name: of the split.
        dataset: those rows.
        rows: their indices in the split; sorted int64.
    """

    name: str
    dataset: Dataset
    rows: np.ndarray


def labelled_splits(
    dataset: DatasetDict,
    train_split: str | None = None,
    test_split: str | None = None,
    *,
    taken: str | None = None,
    image_column_name: str | None = None,
    label_column_name: str | None = None,
    exclude: str | None = None,
    fits: Callable[[str], bool] | None = None,
) -> tuple[SplitRows, SplitRows | None]:
    """The train and the test split, without the rows that have no label.

    Unless it is named, the test split is the first usual one that has labels; often those of "test" are withheld. What
    is left out or passed over is said on the log.

    Args:
        train_split, test_split, taken: as for [`find_splits`].
        image_column_name, label_column_name, exclude, fits: as for [`label_parts`].

    Raises:
        UnlearningError: as [`find_splits`]; no labels in the train split, or in the named test split.
    """
    train_split, found = find_splits(dataset, train_split, test_split, taken)
    train = dataset[train_split]
    what = f"the train split {train_split!r}"
    if not len(train):
        raise UnlearningError(f"{what} is empty")
    image = find_image_column(train, image_column_name)
    label = find_label_column(train, label_column_name, exclude=exclude, fits=fits)

    def check(part: Dataset, name: str) -> str:
        _check_columns(part, (image, label), f"the test split {name!r}")
        return label

    if test_split is None and found is not None:
        tests = [name for name in USUAL_TEST_SPLITS if name in dataset and name not in (train_split, taken)]
        test = first_labelled(dataset, tests, check)
    elif test_split is not None:
        test = labelled_rows(dataset[test_split], test_split, check(dataset[test_split], test_split))
    else:
        test = None
    return labelled_rows(train, train_split, label, what), test


def first_labelled(
    dataset: Mapping[str, Dataset], names: Sequence[str], label_column: Callable[[Dataset, str], str]
) -> SplitRows | None:
    """Of the splits called `names` the first that has labels, without the rows that have none; None if none has.

    Args:
        label_column: gives the label column of a split, from the split and its name, or raises an `UnlearningError`.
    """
    passed_over, found = [], None
    for name in names:
        try:
            found = labelled_rows(dataset[name], name, label_column(dataset[name], name))
            break
        except UnlearningError as error:
            passed_over.append(str(error))
    for reason in passed_over:
        warn_once(f"{reason}; {f'{found.name!r} is the test split' if found else 'there is no test set'}")
    return found


def labelled_rows(part: Dataset, name: str, label: str, what: str | None = None) -> SplitRows:
    """The rows of a split that have a label; how many others there are is said on the log.

    Args:
        name: of the split.
        label: its column of labels.
        what: what messages call it; by default the test split of that name.

    Raises:
        UnlearningError: none of them has one.
    """
    what = what or f"the test split {name!r}"
    rows = np.flatnonzero(has_label(part, label))
    if not len(rows):
        raise UnlearningError(f"{what} has no labels: column {label!r} holds none" if len(part) else f"{what} is empty")
    if len(rows) < len(part):
        warn_once(f"{len(part) - len(rows)} of the {len(part)} rows of {what} have no label and are left out")
        part = part.select(rows)
    return SplitRows(name, part, rows)


def find_splits(
    dataset: Mapping[str, Any], train_split: str | None, test_split: str | None, taken: str | None = None
) -> tuple[str, str | None]:
    """The names of the train and the test split.

    Args:
        train_split: by default "train", or the only split.
        test_split: by default "test", "validation", "valid" or "val", or else none.
        taken: a split that is neither, since it is the forget set itself.

    Raises:
        UnlearningError: a split that does not exist, or one in two roles.
    """
    if train_split is None:
        if "train" not in dataset and len(dataset) != 1:
            raise UnlearningError(f"this dataset has no split 'train'; name another of: {there_are(dataset)}")
        train_split = "train" if "train" in dataset else next(iter(dataset))
    _check_split(dataset, train_split, "train split")
    if taken is not None:
        _check_split(dataset, taken, "forget split")
        if taken == train_split:
            raise UnlearningError(f"the forget set is everything: {train_split!r} is the train split itself")
    if test_split is None:
        usual = [name for name in USUAL_TEST_SPLITS if name in dataset]
        others = [name for name in usual if name not in (train_split, taken)]
        return train_split, (others[0] if others else None)
    _check_split(dataset, test_split, "test split")
    if test_split in (train_split, taken):
        role = "train" if test_split == train_split else "forget"
        raise UnlearningError(f"split {test_split!r} cannot be both the test and the {role} split")
    return train_split, test_split


def with_test_set(
    dataset: Mapping[str, Dataset],
    train_split: str,
    test: Dataset,
    image_column_name: str | None = None,
    label_column_name: str | None = None,
) -> tuple[DatasetDict, str]:
    """The dataset with a test set from elsewhere in the place of its own, and the name of that split.

    Args:
        image_column_name, label_column_name: of the train split, and of the test set if it has them; by default those
            that are found, in each.

    Raises:
        UnlearningError: no image or label column.
    """
    from datasets import DatasetDict

    train = dataset[train_split]
    columns = {}
    for find, name in ((find_image_column, image_column_name), (find_label_column, label_column_name)):
        there = name if name is not None and name in test.features else None
        columns[find(test, there)] = find(train, name)
    name = "test" if train_split != "test" else "other test"
    return DatasetDict({**dataset, name: test.select_columns(list(columns)).rename_columns(columns)}), name


def _check_split(dataset: Mapping[str, Any], name: str, what: str) -> None:
    if name not in dataset:
        raise UnlearningError(f"{what} {name!r} does not exist; {did_you_mean(name, dataset)}")


def _check_columns(part: Dataset, columns: tuple[str, ...], what: str) -> None:
    for column in columns:
        if column not in part.features:
            raise UnlearningError(f"{what} has no column {column!r}; there are: {there_are(part.features)}")
