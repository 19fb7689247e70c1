"""The samples to forget by themselves, without the rest of the training set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.errors import UnlearningError, did_you_mean, there_are
from hf_unlearn.request.columns import (
    USUAL_LABEL_COLUMNS,
    as_image_column,
    find_image_column,
    find_label_column,
    is_class_column,
)
from hf_unlearn.request.fingerprint import Fingerprint
from hf_unlearn.request.forget_request import SAMPLES_OF, ForgetRequest
from hf_unlearn.request.images import readable_rows, samples_sha256
from hf_unlearn.request.iterable import Materialised, materialised
from hf_unlearn.request.label_mapping import LabelMapping, as_label_mapping
from hf_unlearn.request.labelled import USUAL_TEST_SPLITS, SplitRows, first_labelled, labelled_rows
from hf_unlearn.request.labels import class_codes, codes_with_gaps, label_values, with_labels
from hf_unlearn.request.matching import folded, mapped_part
from hf_unlearn.request.source import is_hub_dataset, loaded_commit
from hf_unlearn.request.splits import UnlearningSplits

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

# The label column of samples that have none.
_LABEL_COLUMN = USUAL_LABEL_COLUMNS[0]


def forget_splits(
    samples: Dataset | DatasetDict,
    forget_kind: str | None = None,
    *,
    forget_label: str | Sequence[str] | None = None,
    test: Dataset | DatasetDict | None = None,
    forget_split: str | None = None,
    test_split: str | None = None,
    image_column_name: str | None = None,
    label_column_name: str | None = None,
    dataset_name: str | None = None,
    dataset_config_name: str | None = None,
    dataset_revision: str | None = None,
    label_mapping: LabelMapping | os.PathLike | None = None,
    skip_unreadable: bool = False,
) -> UnlearningSplits:
    """The splits of a request that brings only the samples to forget: `retain` is None.

    ```python
    photos = load_image_dataset("photos")  # a folder of JPEG files
    splits = forget_splits(photos, "subset", forget_label="rocket")
    ```

    Args:
        samples: the forget set: a dataset, or a `DatasetDict` with one split (or `forget_split`).
        forget_kind: "class" if the samples' classes are to vanish, "subset" if other samples of them stay. It has no
            default: what is right for the one is wrong for the other, and the samples do not tell.
        forget_label: the class of all samples, or a list with the class of each: for samples without labels of their
            own. What a model says of each comes from [`hf_unlearn.predict_labels`].
        test: a labelled test set from anywhere, for judging; None: figures that need one are left out.
        forget_split, test_split: which split of a `DatasetDict`; by default the only one, or of `test` the first of
            "test", "validation", "valid" and "val" that has labels.
        image_column_name: by default the column with the `Image` feature.
        label_column_name: by default the column with the `ClassLabel` feature.
        dataset_name, dataset_config_name, dataset_revision: where the samples are on the Hub, for the record. The name
            of a folder is not kept: it may say who is in it.
        label_mapping: which labels of a model these are, where names do not say it; as for [`make_splits`], but it may
            name labels that no sample has.
        skip_unreadable: leave out images that cannot be read, as for [`make_splits`].

    Raises:
        UnlearningError: no sample, no image column, no labels and no `forget_label` or both, or `forget_kind` left
            open.
    """
    check_forget_kind(forget_kind)
    name, forget = one_split(samples, forget_split, (), "forget")
    if not len(forget):
        raise UnlearningError("the forget set is empty: it holds no image; expected at least one")
    commit = loaded_commit(forget, dataset_name)
    if dataset_name is not None and not is_hub_dataset(dataset_name, forget):
        dataset_name = None
    image_column = find_image_column(forget, image_column_name)
    forget = as_image_column(forget, image_column)
    rows = np.arange(len(forget), dtype=np.int64)
    if skip_unreadable:
        kept = readable_rows(forget, image_column, rows, "the forget set", "forget")
        if forget_label is not None and not isinstance(forget_label, str) and len(forget_label) == len(rows):
            forget_label = [forget_label[row] for row in kept]
        forget, rows = forget.select(kept), kept
    label_column, codes, own_names = _labels(forget, forget_label, label_column_name)
    names, ids = own_names, np.arange(len(own_names))
    values = [None if forget_label is not None else label_values(forget, label_column, own_names)]
    spelled_as = [own_names]
    tested: Dataset | None = None
    test_rows: np.ndarray | None = None
    test_labels = np.zeros(0, dtype=np.int64)
    if test is not None:
        labelled = labelled_test_set(test, test_split, image_column_name, label_column_name)
        test_split, tested, test_rows = labelled.name, labelled.dataset, labelled.rows
        test_image = find_image_column(tested, _if_there(tested, image_column_name))
        test_label = find_label_column(tested, _if_there(tested, label_column_name))
        if skip_unreadable:
            tested = as_image_column(tested, test_image)
            kept = readable_rows(tested, test_image, test_rows, "the test set", "test")
            tested, test_rows = tested.select(kept), test_rows[kept]
        test_labels, test_names = class_codes(tested, test_label, "the test set")
        values.append(label_values(tested, test_label, test_names))
        spelled_as.append(test_names)
        names, ids = _together(test_names, own_names)
        renamed = {test_image: image_column, test_label: label_column}
        tested = tested.select_columns(list(renamed)).rename_columns(renamed)
        tested = with_labels(as_image_column(tested, image_column), label_column, test_labels, names)
    integers = _integers(names, spelled_as, values)
    present = np.unique(codes)
    request = ForgetRequest(
        samples=forget_kind, classes=tuple(own_names[code] for code in present) if forget_kind == "class" else ()
    )
    forgotten = np.unique(ids[present]) if forget_kind == "class" else np.zeros(0, dtype=np.int64)
    forget = as_image_column(with_labels(forget, label_column, ids[codes], names), image_column)
    # By the names that the samples came with, so that it does not depend on the test set.
    spelled = dict(zip(ids.tolist(), own_names, strict=True))
    digest = samples_sha256(
        forget, image_column, label_column, [spelled.get(place, each) for place, each in enumerate(names)]
    )
    return UnlearningSplits(
        forget=forget,
        retain=None,
        test=tested,
        forget_indices=rows,
        retain_indices=np.zeros(0, dtype=np.int64),
        test_forgotten=np.isin(test_labels, forgotten),
        forgotten_class_ids=tuple(forgotten.tolist()),
        image_column=image_column,
        label_column=label_column,
        label_names=names,
        request=request,
        fingerprint=Fingerprint(
            dataset_name=dataset_name,
            dataset_config_name=dataset_config_name,
            dataset_revision=dataset_revision,
            # The samples are all there is of the dataset.
            dataset_fingerprint=digest,
            # However the samples came.
            train_split="forget",
            request=request.summary(),
            sha256=digest,
            num_forget=len(forget),
        ),
        train_split=name,
        test_split=test_split if tested is not None else None,
        forget_rows=rows,
        test_rows=test_rows,
        skip_unreadable=skip_unreadable,
        label_values=integers,
        used_labels=tuple(np.union1d(ids[present], test_labels).tolist()),
        label_mapping=mapped_part(as_label_mapping(label_mapping), names, integers),
        labels_from="dataset" if forget_label is None else "name" if isinstance(forget_label, str) else "list",
        dataset_commit=commit,
    )


def check_forget_kind(kind: str | None) -> None:
    """Refuse a kind of samples that is none, and one that was left open.

    Raises:
        UnlearningError: it is neither "class" nor "subset".
    """
    if kind not in SAMPLES_OF:
        raise UnlearningError(
            f"forget_kind {'was not said' if kind is None else f'is {kind!r}'}; expected 'class' (the classes of these "
            "samples are to vanish) or 'subset' (other samples of their classes stay)"
        )


def labelled_test_set(
    test: Dataset | DatasetDict, split: str | None, image_column_name: str | None, label_column_name: str | None
) -> SplitRows:
    """The rows of a test set that have a label; of one with several splits the first usual one that has labels.

    Raises:
        UnlearningError: there is no such split, it lacks a column, or nothing in it has a label.
    """

    def label_column(part: Dataset, name: str) -> str:
        find_image_column(part, _if_there(part, image_column_name))
        return find_label_column(part, _if_there(part, label_column_name))

    usual = [name for name in USUAL_TEST_SPLITS if isinstance(test, Mapping) and name in test]
    if split is None and len(usual) > 1:
        assert isinstance(test, Mapping)
        found = first_labelled(Materialised(test), usual, label_column)
        if found is None:
            raise UnlearningError(f"no split of the test set has labels; there are: {there_are(test)}")
        return found
    name, part = one_split(test, split, USUAL_TEST_SPLITS, "test")
    return labelled_rows(part, name, label_column(part, name), "the test set")


def one_split(data: Any, name: str | None, usual: Sequence[str], what: str) -> tuple[str, Dataset]:
    """The one split that is meant, with its name: a dataset itself, the only one of several, or the one named.

    Raises:
        UnlearningError: there is no such split, or there are several, or no dataset at all.
    """
    from datasets import Dataset, IterableDataset

    if isinstance(data, IterableDataset):
        data = materialised(data, f"the {what} set")
    if isinstance(data, Dataset):
        if name is not None:
            raise UnlearningError(f"{what}_split is {name!r}, but the {what} set is a single dataset without splits")
        return what, data
    if not isinstance(data, Mapping):
        raise UnlearningError(f"the {what} set is a {type(data).__name__}; expected a Dataset or a DatasetDict")
    data = Materialised(data)
    if name is not None:
        if name not in data:
            raise UnlearningError(f"{what}_split {name!r} does not exist; {did_you_mean(name, data)}")
        return name, data[name]
    found = [each for each in usual if each in data][:1] or (list(data) if len(data) == 1 else [])
    if not found:
        named = "forget_split (--forget_split_name by command)" if what == "forget" else f"{what}_split"
        raise UnlearningError(f"the {what} set has several splits; name one as {named}: {there_are(data)}")
    return found[0], data[found[0]]


def _if_there(dataset: Dataset, column: str | None) -> str | None:
    """A column's name if the dataset has it: a test set from elsewhere may name its own otherwise."""
    return column if column is not None and column in dataset.features else None


def _labels(
    forget: Dataset, given: str | Sequence[str] | None, column_name: str | None
) -> tuple[str, np.ndarray, list[str]]:
    """The label column, the label id of every row, and the labels' names."""
    column = _label_column(forget, column_name)
    if given is None:
        if column is None:
            columns = [each for each in forget.features if is_class_column(forget.features, each)]
            others = f", or label_column_name, one of: {there_are(columns)}" if columns else ""
            raise UnlearningError(
                "the samples to forget have no labels; expected forget_label, the name of their class (or 'predicted' "
                f"by command, hf_unlearn.predict_labels in Python, for what a model says of each){others}"
            )
        return column, *class_codes(forget, column, "the forget set")
    if not isinstance(given, str):
        labels = [str(each) for each in given]
        if len(labels) != len(forget):
            raise UnlearningError(
                f"forget_label has {len(labels)} labels; expected one for each of {len(forget)} samples"
            )
        names = sorted(set(labels))
        return column or _LABEL_COLUMN, np.array([names.index(each) for each in labels], dtype=np.int64), names
    if not given.strip():
        raise UnlearningError("forget_label is empty; expected the name of a class")
    if column is not None:
        _refuse_contradiction(forget, column, given)
    return column or _LABEL_COLUMN, np.zeros(len(forget), dtype=np.int64), [given]


def _label_column(forget: Dataset, name: str | None) -> str | None:
    """The label column, if there is any."""
    from datasets import ClassLabel

    features = forget.features
    usual = [column for column in USUAL_LABEL_COLUMNS if column in features and is_class_column(features, column)]
    if name is None and not usual and not any(isinstance(feature, ClassLabel) for feature in features.values()):
        return None
    return find_label_column(forget, name)


def _refuse_contradiction(forget: Dataset, column: str, label: str) -> None:
    """One label was given for samples that have labels: it may not be another than theirs."""
    try:
        codes, names = codes_with_gaps(forget, column)
    except UnlearningError:
        # What holds no classes contradicts none.
        return
    present = [names[code] for code in np.unique(codes[codes >= 0])]
    if not present:
        return
    if len(present) > 1:
        raise UnlearningError(
            f"forget_label is {label!r}, but the samples have labels of their own, of {len(present)} classes: "
            f"{there_are(present)}; expected no forget_label, or the samples of one class"
        )
    if folded(present[0]) != folded(label) and folded(label) in map(folded, names):
        raise UnlearningError(
            f"forget_label is {label!r}, but the samples are labelled {present[0]!r} in column {column!r}; expected "
            "one of the two"
        )


def _together(names: list[str], others: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """`names` and those of `others` that are not among them; and the place of each of `others` in that list."""
    together = list(names)
    by_folded: dict[str, list[str]] = {}
    for name in names:
        by_folded.setdefault(folded(name), []).append(name)
    places = []
    for other in others:
        near = by_folded.get(folded(other), [])
        same = other if other in names else near[0] if len(near) == 1 else None
        if same is None:
            together.append(other)
        places.append(together.index(same if same is not None else other))
    return together, np.array(places, dtype=np.int64)


def _integers(
    names: Sequence[str], spelled: Sequence[Sequence[str]], values: Sequence[Sequence[int] | None]
) -> tuple[int, ...] | None:
    """What each of the labels stands for, if they come from columns of integers alone."""
    known: dict[str, int] = {}
    for own_names, own_values in zip(spelled, values, strict=True):
        if own_values is None:
            return None
        known.update(zip(own_names, own_values, strict=True))
    return tuple(known[name] for name in names)
