"""The forget, retain and test splits that a request makes of a dataset."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hf_unlearn.errors import UnlearningError
from hf_unlearn.request.fingerprint import Fingerprint, content_fingerprint, indices_sha256
from hf_unlearn.request.forget_request import GIVEN_SETS, check_request
from hf_unlearn.request.images import readable_rows, samples_sha256, verify_images
from hf_unlearn.request.iterable import Materialised
from hf_unlearn.request.label_mapping import LabelMapping, as_label_mapping
from hf_unlearn.request.labelled import LabelledParts, label_parts, labelled_splits
from hf_unlearn.request.labels import classes_gone, label_array
from hf_unlearn.request.matching import check_mapped_labels, match_labels
from hf_unlearn.request.selection import counted_among, given_forget_set, rows_in, select_rows, test_forgotten
from hf_unlearn.request.source import loaded_commit, public_dataset_name

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from hf_unlearn.request.forget_request import ForgetRequest


@dataclass(frozen=True, eq=False)
class UnlearningSplits:
    """A request resolved on a dataset, once: every later stage takes these splits.

    Forget, retain and test select rows by index; no image is copied. In all of them the image column decodes
    to PIL images and the label column is a `ClassLabel` with `label_names`.

    Attributes:
        forget: the samples to forget.
        retain: the rest of the train split; None for a request of samples alone, which brings nothing else, and where
            no more than the forget set was fetched.
        test: the test split, or None if there is none.
        forget_indices: rows of the train split that are forgotten; sorted int64. With `retain_indices` they
            are a partition of the train split, but for rows that were left out (without a label, or unreadable).
        retain_indices: the other rows of the train split; sorted int64. Empty for samples alone.
        test_forgotten: boolean, shape (test rows,): True where a test sample belongs to what was forgotten,
            that is to a class that is gone or to a forgotten sub-class. Empty without a test split.
        forgotten_class_ids: sorted label ids of the forget set that have no sample left in `retain`, or so few that
            they teach nothing (see [`hf_unlearn.request.labels.classes_gone`]).
        image_column: the name of the image column.
        label_column: the name of the label column.
        label_names: the names of the labels, by dataset label id.
        request: the request with classes by name and indices read from their file.
        fingerprint: recognises the same request on the same dataset.
        train_split: the name of the train split.
        test_split: the name of the test split, or None.
        labels_from: of samples alone, where their labels come from: "dataset" (their own), "name" (one that was given
            for all of them), "list" (one that was given for each), or "predicted" (what the model says, by command).
        label_values: where the label column held integers, booleans or whole floats, the integer that each label id
            stands for; else None.
        used_labels: the sorted label ids that any sample has, of train, test and forget set; None for all. Other
            labels need none in a model.
        label_mapping: which labels of a model the dataset's are, where names do not say it; see [`match_labels`].
        forget_rows: of a forget set that is given by itself, the row that each sample has there; None: all, in order.
        test_rows: the row of the test split that each sample of `test` has; None: all, in order.
        skip_unreadable: whether images that cannot be read are left out.
        dataset_commit: of the Hub, that the dataset was loaded at; None where it does not say.

    When the request names a configuration or split as the forget set, `forget` is that set as it is, and may
    hold samples that the train split does not. `forget_indices` are then the rows of the train split that are
    the same sample as one of them (the same encoded image bytes and label), copies included; there may be
    none.
    """

    forget: Dataset
    retain: Dataset | None
    test: Dataset | None
    forget_indices: np.ndarray
    retain_indices: np.ndarray
    test_forgotten: np.ndarray
    forgotten_class_ids: tuple[int, ...]
    image_column: str
    label_column: str
    label_names: list[str]
    request: ForgetRequest
    fingerprint: Fingerprint
    train_split: str
    test_split: str | None
    labels_from: str = "dataset"
    label_values: tuple[int, ...] | None = None
    used_labels: tuple[int, ...] | None = None
    label_mapping: LabelMapping | None = None
    forget_rows: np.ndarray | None = None
    test_rows: np.ndarray | None = None
    skip_unreadable: bool = False
    dataset_commit: str | None = None

    def class_ids(self, id2label: Mapping[int, str]) -> list[int]:
        """A model's class id of every label of the dataset, by label id; −1 for labels that neither needs.

        Args:
            id2label: the model's `config.id2label`.

        Raises:
            UnlearningError: as [`match_labels`]; samples that are given alone, of all the model's classes, are to take
                their classes with them.
        """
        alone = self.request.kind == "samples"
        class_ids = match_labels(
            self.label_names,
            id2label,
            self.label_mapping,
            values=self.label_values,
            used=self.used_labels,
            complete=not alone,
        )
        if alone and len({class_ids[label] for label in self.forgotten_class_ids}) == len(id2label):
            raise UnlearningError(
                f"the forget set is everything: its samples are of all {len(id2label)} classes of the model, and with "
                "forget_kind 'class' none would be left; expected samples of some, or forget_kind 'subset'"
            )
        return class_ids

    @property
    def removes_whole_classes(self) -> bool:
        """Whether no sample of the forget samples' classes is left in the retain set, or next to none."""
        return bool(np.isin(self.forget_labels(), self.forgotten_class_ids).all())

    @property
    def forget_kind(self) -> str:
        """What becomes of the forget samples' classes.

        "class": they vanish (`removes_whole_classes`); "subclass": a sub-class goes, and its label stays in use for
        others; "subset": other samples like the forgotten ones stay.
        """
        if self.removes_whole_classes:
            return "class"
        return "subclass" if self.request.kind == "subclass" else "subset"

    def with_retain_sample(self, most: int, seed: int) -> UnlearningSplits:
        """The same with at most so many of the retained samples, drawn by `seed`."""
        if self.retain is None or len(self.retain) <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(len(self.retain))[:most])
        return dataclasses.replace(self, retain=self.retain.select(rows), retain_indices=self.retain_indices[rows])

    def forget_labels(self) -> np.ndarray:
        """Label ids of the forget set, int64 of shape (rows,), without decoding images."""
        return label_array(self.forget, self.label_column)

    def retain_labels(self) -> np.ndarray:
        """Label ids of the retain set, int64 of shape (rows,), without decoding images; empty if none."""
        if self.retain is None:
            return np.empty(0, dtype=np.int64)
        return label_array(self.retain, self.label_column)

    def test_labels(self) -> np.ndarray:
        """Label ids of the test set, int64 of shape (rows,), without decoding images; empty if none."""
        if self.test is None:
            return np.empty(0, dtype=np.int64)
        return label_array(self.test, self.label_column)

    def origin(self, part: str) -> tuple[str, np.ndarray]:
        """Where samples are from: what messages call the split, and each sample's index in it, int64 of shape (rows,).

        Args:
            part: `"forget"`, `"retain"` or `"test"`.
        """
        if part == "test":
            rows = np.arange(len(self.test or ())) if self.test_rows is None else self.test_rows
            return f"the split {self.test_split!r}" if self.test_split else "the test set", rows
        train = f"the split {self.train_split!r}"
        if part == "retain":
            return train, self.retain_indices
        if self.request.kind in GIVEN_SETS:
            rows = np.arange(len(self.forget)) if self.forget_rows is None else self.forget_rows
            return self.request.describe(), rows
        return train, self.forget_indices

    def without_unreadable(self, *parts: str) -> UnlearningSplits:
        """The same without the images of some parts that cannot be read; how many these are is said on the log.

        All images of the parts are decoded. Those of the forget set that are left out are not retained either.

        Args:
            parts: of `"forget"`, `"retain"` and `"test"`.

        Raises:
            UnlearningError: no image of a part can be read.
        """
        splits = self
        for part in parts:
            dataset = {"forget": self.forget, "retain": self.retain, "test": self.test}[part]
            if dataset is None:
                continue
            what, indices = self.origin(part)
            kept = readable_rows(dataset, self.image_column, indices, what, part)
            if len(kept) == len(dataset):
                continue
            dataset, indices = dataset.select(kept), indices[kept]
            if part == "retain":
                changed: dict[str, Any] = {"retain": dataset, "retain_indices": indices}
            elif part == "test":
                forgotten = self.test_forgotten[kept]
                changed = {"test": dataset, "test_rows": indices, "test_forgotten": forgotten}
            else:
                given = self.request.kind in GIVEN_SETS
                columns = (self.image_column, self.label_column)
                digest = samples_sha256(dataset, *columns) if given else indices_sha256(indices)
                fingerprint = dataclasses.replace(self.fingerprint, sha256=digest, num_forget=len(dataset))
                changed = {"forget": dataset, "fingerprint": fingerprint}
                changed["forget_rows" if given else "forget_indices"] = indices
            splits = dataclasses.replace(splits, **changed)
        return splits

    def with_readable_retain(self) -> UnlearningSplits:
        """The same without retained images that cannot be read, if the splits were made to skip them; else itself.

        They are not looked for before, since most methods need none.
        """
        return self.without_unreadable("retain") if self.skip_unreadable else self

    def verify_forget_images(self) -> None:
        """Decode every image of the forget set; an error names the first corrupt one by its index."""
        what, indices = self.origin("forget")
        verify_images(self.forget, self.image_column, indices, what=what)


def make_splits(
    dataset: DatasetDict,
    request: ForgetRequest,
    *,
    dataset_name: str | None = None,
    dataset_config_name: str | None = None,
    dataset_revision: str | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    image_column_name: str | None = None,
    label_column_name: str | None = None,
    load_config: Callable[[str], DatasetDict] | None = None,
    label_mapping: LabelMapping | os.PathLike | None = None,
    skip_unreadable: bool = False,
) -> UnlearningSplits:
    """Resolve a request on a dataset.

    Args:
        dataset: all its splits, as `load_image_dataset` gives them. Those that are streams and are needed are read into
            memory, up to 2 GiB each.
        request: what to forget from the train split.
        dataset_name: its name on the Hub or its path, for the fingerprint.
        dataset_config_name: the configuration that `dataset` is, for the fingerprint.
        dataset_revision: the commit that `dataset` is, for the fingerprint.
        train_split: by default "train", or the only split.
        test_split: by default the first of "test", "validation", "valid" and "val" that has labels, or else none.
        image_column_name: by default the column with the `Image` feature.
        label_column_name: by default the column with the `ClassLabel` feature.
        load_config: loads another configuration of the same dataset; needed for a `dataset_config` request.
        label_mapping: which labels of a model the dataset's are, where names do not say it: dataset label (name or id)
            -> model label (name or id), or the path of a JSON file of that, or "order" (as many, in the same order), or
            "id" (the same ids). What it does not name is matched by name. The request may name classes by either.
        skip_unreadable: leave out images of the forget and the test set that cannot be read (all are decoded once for
            that), and log how many; of the retain set, too, once it is read. By default one such image is an error as
            soon as it is needed.

    Rows without a label (null, −1) are left out, too, and logged.

    Raises:
        UnlearningError: if a split, column, class, value or index does not exist; if the forget set would be
            empty or everything; if the label mapping names a label that the dataset lacks, or one twice.
    """
    label_mapping = as_label_mapping(label_mapping)
    if not isinstance(dataset, Mapping):
        raise UnlearningError(
            f"make_splits takes a DatasetDict of all splits, not a {type(dataset).__name__}: wrap it as "
            "DatasetDict(train=...)"
        )
    check_request(request)
    dataset = cast("DatasetDict", Materialised(dataset))
    if request.samples is not None:
        raise UnlearningError("make_splits parts a whole training set; for samples alone there is forget_splits")
    columns: dict[str, Any] = {
        "image_column_name": image_column_name,
        "label_column_name": label_column_name,
        "exclude": request.subclass_column,
        "fits": request.leaves,
    }
    used, tested = labelled_splits(dataset, train_split, test_split, taken=request.split, **columns)
    train_split, test_split = used.name, None if tested is None else tested.name
    parts = {f"the train split {train_split!r}": used.dataset}
    if tested is not None:
        parts[f"the test split {test_split!r}"] = tested.dataset
    if request.kind in ("dataset_config", "split"):
        parts[request.describe()] = given_forget_set(dataset, request, train_split, load_config)
    labelled = label_parts(parts, **columns)
    image_column, label_column = labelled.image_column, labelled.label_column
    targets: dict[int, str | int] = {}
    if isinstance(label_mapping, Mapping):
        targets = check_mapped_labels(label_mapping, labelled.label_names, labelled.label_values)
    train, *others = labelled.parts
    test = others.pop(0) if tested is not None else None

    forget_rows = None
    if not others:
        counted = counted_among(request, used.rows, len(dataset[train_split]))
        positions, request = select_rows(
            counted,
            train,
            label_column,
            labelled.label_values,
            {target: label for label, target in targets.items() if isinstance(target, str)},
        )
        if request.indices is not None:
            request = dataclasses.replace(request, indices=tuple(used.rows[positions].tolist()))
        forget = train.select(positions)
    else:
        (forget,) = others
        if not len(forget):
            raise UnlearningError(f"the forget set is empty: {request.describe()} has no samples")
        if skip_unreadable:
            # Before its samples are looked for in the train split.
            forget_rows = readable_rows(forget, image_column, np.arange(len(forget)), request.describe(), "forget")
            forget = forget.select(forget_rows)
        positions = rows_in(train, forget, image_column, label_column)
    stay = np.setdiff1d(np.arange(len(train), dtype=np.int64), positions, assume_unique=True)
    if not len(stay):
        raise UnlearningError(
            f"the forget set is everything: {request.describe()} leaves none of the {len(train)} samples of "
            "the train split"
        )
    # Which classes are gone depends on the samples alone, not on how the request named them.
    forgotten = classes_gone(label_array(forget, label_column), label_array(train, label_column)[stay])
    forget_indices = used.rows[positions]
    splits = UnlearningSplits(
        forget=forget,
        retain=train.select(stay),
        test=test,
        forget_indices=forget_indices,
        retain_indices=used.rows[stay],
        test_forgotten=test_forgotten(request, test, label_column, forgotten),
        forgotten_class_ids=tuple(forgotten.tolist()),
        image_column=image_column,
        label_column=label_column,
        label_names=labelled.label_names,
        request=request,
        fingerprint=Fingerprint(
            dataset_name=public_dataset_name(dataset_name, used.dataset),
            dataset_config_name=dataset_config_name,
            dataset_revision=dataset_revision,
            dataset_fingerprint=content_fingerprint(train, label_column),
            train_split=train_split,
            request=request.summary(),
            # A given forget set may hold samples that no index in the train split tells of.
            sha256=samples_sha256(forget, image_column, label_column) if others else indices_sha256(forget_indices),
            num_forget=len(forget),
        ),
        train_split=train_split,
        test_split=test_split,
        label_values=labelled.label_values,
        used_labels=_used_labels(labelled),
        label_mapping=label_mapping,
        forget_rows=forget_rows,
        test_rows=None if tested is None else tested.rows,
        skip_unreadable=skip_unreadable,
        dataset_commit=loaded_commit(used.dataset, dataset_name),
    )
    return splits.without_unreadable("forget", "test") if skip_unreadable else splits


def _used_labels(labelled: LabelledParts) -> tuple[int, ...]:
    labels = [label_array(part, labelled.label_column) for part in labelled.parts]
    return tuple(np.unique(np.concatenate(labels)).tolist())
