"""The samples to forget by themselves, from flags: what goes together, and the splits that they make."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_unlearn.commands.arguments import (
    DataArguments,
    ForgetSetArguments,
    RequestArguments,
    TestSetArguments,
)
from hf_unlearn.commands.loading import load_samples, load_test_set
from hf_unlearn.commands.parsing import say
from hf_unlearn.errors import UnlearningError
from hf_unlearn.request import UnlearningSplits, forget_splits
from hf_unlearn.request.columns import as_image_column, find_image_column
from hf_unlearn.request.forget_set import check_forget_kind, one_split
from hf_unlearn.request.images import readable_rows

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedModel

# The value of --forget_label that asks the model.
PREDICTED = "predicted"
# What says nothing of the whole training set, and goes with samples alone, too.
_OF_BOTH = ("test_split", "image_column_name", "label_column_name", "label_mapping", "skip_unreadable")


def check_forget_set(
    data: DataArguments, request: RequestArguments, forget: ForgetSetArguments, test: TestSetArguments
) -> bool:
    """Whether the samples to forget come alone (--forget_dataset), without a training set and a request on it.

    Raises:
        UnlearningError: flags of both ways, or of neither; what becomes of the classes was not said.
    """
    given = given_flags(test)
    if test.test_dataset is None and given:
        raise UnlearningError(f"--{given[0]} goes with --test_dataset, which was not given")
    if forget.forget_dataset is None:
        given = given_flags(forget)
        if given:
            raise UnlearningError(f"--{given[0]} goes with --forget_dataset, which was not given")
        if data.dataset_name is None:
            raise UnlearningError(
                "no data was named; expected --dataset_name (the training set, with what to forget of it) or "
                "--forget_dataset (the samples to forget alone)"
            )
        return False
    given = [*given_flags(request), *(name for name in given_flags(data) if name not in _OF_BOTH)]
    if given:
        raise UnlearningError(
            f"--{given[0]} goes with a training set, and not with --forget_dataset, all of which is to be forgotten; "
            "expected one of the two"
        )
    check_forget_kind(forget.forget_kind)
    return True


def given_flags(flags: Any) -> list[str]:
    """The flags that have another value than their default."""
    return [each.name for each in dataclasses.fields(flags) if getattr(flags, each.name) != each.default]


def load_forget_set(
    data: DataArguments,
    forget: ForgetSetArguments,
    test: TestSetArguments,
    original: Callable[[], tuple[PreTrainedModel, BaseImageProcessor]],
) -> UnlearningSplits:
    """Load the samples to forget, and make their splits.

    Args:
        original: gives the model that is to forget, or was, with its image processor; it is asked only where
            --forget_label is 'predicted', or a class id.

    Raises:
        UnlearningError: no such dataset, split, column or label.
    """
    its_test_split = None if test.test_dataset is not None else data.test_split
    samples: Any = load_samples(forget, its_test_split, data.skip_unreadable)
    if test.test_dataset is not None or data.test_split is None:
        tested = load_test_set(test, data)
    else:
        tested = one_split(samples, data.test_split, (), "test")[1]
    name = forget.forget_split_name
    if name is None and tested is not None and test.test_dataset is None:
        # What is for testing is not to be forgotten.
        samples = {key: part for key, part in samples.items() if key != data.test_split}
    label: Any = forget.forget_label
    mapping: Any = data.label_mapping
    if label == PREDICTED:
        from hf_unlearn.evaluation.answers import predict_labels

        place, images = one_split(samples, name, (), "forget")
        if data.skip_unreadable:
            column = find_image_column(images, data.image_column_name)
            images = as_image_column(images, column)
            images = images.select(
                readable_rows(images, column, np.arange(len(images)), f"the split {place!r}", "forget")
            )
            samples[place] = images
        label = predict_labels(images, *original(), image_column_name=data.image_column_name)
        # At once: whoever sees that the model is wrong need not wait for the end.
        say(f"Labels as the model predicts them: {_counted(label)}")
    elif label is not None and label.isdecimal():
        names = _labels_of(original()[0])
        if label not in names.values():
            class_id, label = int(label), _label_of_id(label, names)
            # Of several labels of one name it is this one.
            if mapping is None and [*names.values()].count(label) > 1:
                mapping = {label: class_id}
    splits = forget_splits(
        samples,
        forget.forget_kind,
        forget_label=label,
        test=tested,
        forget_split=name,
        image_column_name=data.image_column_name,
        label_column_name=data.label_column_name,
        dataset_name=forget.forget_dataset,
        dataset_config_name=forget.forget_dataset_config_name,
        dataset_revision=forget.forget_dataset_revision,
        label_mapping=mapping,
        skip_unreadable=data.skip_unreadable,
    )
    return dataclasses.replace(splits, labels_from=PREDICTED) if forget.forget_label == PREDICTED else splits


def _labels_of(model: PreTrainedModel) -> dict[int, str]:
    from hf_unlearn.models.labels import id2label_of

    return id2label_of(model.config)


def _label_of_id(digits: str, names: dict[int, str]) -> str:
    if int(digits) not in names:
        raise UnlearningError(f"forget_label {digits!r} is not a label of the model: its ids are 0 to {len(names) - 1}")
    return names[int(digits)]


def described(splits: UnlearningSplits, data: DataArguments, forget: ForgetSetArguments) -> str:
    """The request and where its samples are, as a phrase to print."""
    place = f"of {data.dataset_name}" if forget.forget_dataset is None else f"from {forget.forget_dataset}"
    return f"{splits.request.describe()} {place}"


def _counted(labels: Sequence[str], most: int = 5) -> str:
    """How often each label comes, the frequent ones first."""
    counts = Counter(labels).most_common()
    rest = f" and {len(counts) - most} other labels" if len(counts) > most else ""
    return ", ".join(f"{count} {name!r}" for name, count in counts[:most]) + rest
