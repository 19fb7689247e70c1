"""The label maps of a model's configuration, made to agree: `id2label` leads, since `pipeline` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import PretrainedConfig

from hf_unlearn.errors import UnlearningError, there_are, warn_once
from hf_unlearn.request.label_mapping import BY_ID, LabelMapping
from hf_unlearn.request.matching import check_mapped_labels, folded, match_labels


def id2label_of(config: PretrainedConfig) -> dict[int, str]:
    """The names of a model's labels by class id; empty if it has none.

    Raises:
        UnlearningError: the map is not from ids to names.
    """
    given = config.id2label or {}
    if not (isinstance(given, Mapping) and all(map(_is_id, given))):
        raise UnlearningError(f"the model's config.id2label is {_short(given)}; expected label names by id")
    return {int(class_id): str(label) for class_id, label in given.items()}


def check_label_maps(raw: Mapping[str, Any], name: str) -> None:
    """Refuse what transformers cannot read as label maps.

    Args:
        raw: what config.json holds.
        name: of the model, for messages.

    Raises:
        UnlearningError: an `id2label` that is no object of ids.
    """
    id2label = raw.get("id2label")
    if id2label is not None and not (isinstance(id2label, Mapping) and all(map(_is_id, id2label))):
        raise UnlearningError(
            f"model {name!r}: id2label of its config.json is {_short(id2label)}; expected label names by id, such as "
            '{"0": "cat", "1": "dog"}'
        )


def settle_label_maps(config: PretrainedConfig, raw: Mapping[str, Any], name: str) -> None:
    """Make `label2id` of a configuration follow from `id2label`, and `id2label` from `label2id` where that is alone.

    A `label2id` that contradicts is said on the log.

    Args:
        config: changed in place.
        raw: what config.json holds.
        name: of the model, for messages.

    Raises:
        UnlearningError: a `label2id` without `id2label` that does not count its labels from 0.
    """
    given = raw.get("label2id")
    if raw.get("id2label") is None and isinstance(given, Mapping) and given:
        if not _counts(given.values()):
            raise UnlearningError(
                f"model {name!r}: its config.json has label2id and no id2label, and the ids of its labels "
                f"({there_are(given.values(), 4)}) are not 0 to {len(given) - 1}"
            )
        config.id2label = {int(class_id): str(label) for label, class_id in given.items()}
    names = id2label_of(config)
    if isinstance(given, Mapping):
        wrong = [
            f"{label!r} is {class_id}"
            for label, class_id in given.items()
            if not _is_id(class_id) or names.get(int(class_id)) != str(label)
        ]
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            warn_once(
                f"model {name!r}: label2id of its config.json ({', '.join(wrong[:3])}{more}) contradicts id2label "
                f"({', '.join(f'{class_id} is {label!r}' for class_id, label in [*names.items()][:3])} ...), which "
                "pipeline answers with; id2label is taken"
            )
    config.label2id = {label: class_id for class_id, label in names.items()}


def has_labels(
    config: PretrainedConfig, names: Sequence[str], label_mapping: LabelMapping | None, values: Sequence[int] | None
) -> bool:
    """Whether a model's labels are a dataset's by name, no more and no fewer; arguments as [`match_labels`].

    Digits that stand for nothing but ids are no names here: what is trained on new classes may have had as many others.
    """
    outputs = id2label_of(config)
    called = labels_of_new_head(names, label_mapping, values)
    if sorted(map(folded, called)) != sorted(map(folded, outputs.values())):
        return False
    try:
        match_labels(names, outputs, label_mapping, values=values)
    except UnlearningError:
        return False
    return True


def labels_of_new_head(
    names: Sequence[str], label_mapping: LabelMapping | None, values: Sequence[int] | None
) -> list[str]:
    """The labels of a classifier that is to be trained on a dataset, by class id.

    Args:
        names: of the dataset's labels, by label id.
        label_mapping: what labels are to be called (a name), or where they are to be (an id).
        values: of a column of integers, what each label id stands for there. With the mapping "id" they are the class
            ids, and ids between them have no samples.

    Raises:
        UnlearningError: the mapping names a label that the dataset lacks, or an id twice or above the number of labels.
    """
    if label_mapping == BY_ID and values is not None:
        given = dict(zip(values, names, strict=True))
        return [given.get(class_id, str(class_id)) for class_id in range(max(values) + 1)]
    if label_mapping is None or isinstance(label_mapping, str):
        return list(names)
    placed: dict[int, str] = {}
    rest = []
    targets = check_mapped_labels(label_mapping, names, values)
    for label, name in enumerate(names):
        target = targets.get(label, name)
        if label in targets and _is_id(target):
            if not 0 <= int(target) < len(names) or int(target) in placed:
                fault = "twice" if int(target) in placed else f"of {len(names)} labels"
                raise UnlearningError(f"label_mapping: the id {target} is given to {name!r} {fault}; expected one each")
            placed[int(target)] = name
        else:
            rest.append(str(target))
    free = iter(rest)
    return [placed[class_id] if class_id in placed else next(free) for class_id in range(len(names))]


def _is_id(value: Any) -> bool:
    return (isinstance(value, (int, np.integer)) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.strip().removeprefix("-").isdecimal()
    )


def _counts(ids: Any) -> bool:
    return all(map(_is_id, ids)) and sorted(map(int, ids)) == list(range(len(ids)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."
