"""Names of labels against each other: those a request wants, and those a model knows."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from hf_unlearn.errors import UnlearningError, did_you_mean, there_are, warn_once
from hf_unlearn.request.label_mapping import BY_ID, IN_ORDER, LabelMapping, as_label_mapping

_GENERIC_LABEL = re.compile(r"LABEL_(\d+)")
_DIGITS = re.compile(r"0|[1-9][0-9]*")


def in_normal_form(name: str) -> str:
    """The name in Unicode's NFC: a letter with its accent is one character, as most keyboards write it."""
    return unicodedata.normalize("NFC", name)


def _compatible(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


def folded(name: str) -> str:
    """The name without what people write differently: case, `_`, `-` and spaces, and Unicode's compatible forms."""
    return " ".join(part for part in re.split(r"[\s_-]+", _compatible(name).casefold()) if part)


def resolve_classes(
    wanted: Iterable[str | int],
    names: Sequence[str],
    what: str = "forget class",
    values: Sequence[int] | None = None,
    other_names: Mapping[str, int] | None = None,
) -> list[int]:
    """The sorted label ids of classes given by name or id.

    Names are compared exactly, then in Unicode's normal form. Digits in a string are an id only if no class has that
    name.

    Args:
        wanted: names or ids.
        names: of the labels, by label id.
        what: the kind of thing that is wanted, for messages.
        values: of a column of integers, what each label id stands for there: an integer is then such a value.
        other_names: names that labels are known by as well, where none has them here.

    Raises:
        UnlearningError: if one is neither, with the nearest names.
    """
    find = _finder(names, what, values)
    others = {name: label for name, label in (other_names or {}).items() if name not in names}
    return sorted({others[value] if value in others else find(value) for value in wanted})  # type: ignore[index]


def _finder(names: Sequence[str], what: str, values: Sequence[int] | None) -> Callable[[str | int], int]:
    """A function from a name or id to the label id, with errors as of [`resolve_classes`]."""
    exact, normal, compatible = (_unique_ids(names, form) for form in (str, in_normal_form, _compatible))

    def find(value: str | int) -> int:
        found = None
        if isinstance(value, str):
            found = exact.get(value, normal.get(in_normal_form(value)))
        if found is None and (isinstance(value, int) or _DIGITS.fullmatch(value)):
            found = _by_number(int(value), names, values)
            if found is None:
                there = f"its ids are 0 to {len(names) - 1}, " if values is None else ""
                raise UnlearningError(
                    f"{what} {value!r} is not a label of this dataset: {there}its names: {there_are(names)}"
                )
        if found is None:
            found = compatible.get(_compatible(str(value)))
        if found is None and values is not None:
            raise UnlearningError(
                f"{what} {value!r} is not a label of this dataset, whose labels are numbers without names: "
                f"{there_are(names)}; expected some of these, or a label_mapping from each of them to the model's name"
            )
        if found is None:
            raise UnlearningError(f"{what} {value!r} is not a label of this dataset; {did_you_mean(value, names)}")
        return found

    return find


def _by_number(number: int, names: Sequence[str], values: Sequence[int] | None) -> int | None:
    if values is not None:
        return values.index(number) if number in values else None
    return number if 0 <= number < len(names) else None


def _unique_ids(names: Sequence[str], form: Callable[[str], str]) -> dict[str, int]:
    """Positions by the names' form, without the forms that several names share."""
    grouped = _grouped(enumerate(names), form)
    return {name: positions[0] for name, positions in grouped.items() if len(positions) == 1}


def _grouped(named: Iterable[tuple[int, str]], form: Callable[[str], str]) -> dict[str, list[int]]:
    grouped = defaultdict(list)
    for position, name in named:
        grouped[form(name)].append(position)
    return grouped


def match_labels(
    names: Sequence[str],
    id2label: Mapping[int, str],
    label_mapping: LabelMapping | os.PathLike | None = None,
    *,
    values: Sequence[int] | None = None,
    used: Iterable[int] | None = None,
    complete: bool = True,
) -> list[int]:
    """The model's class id of every label of the dataset.

    Labels are matched by name: exactly, or else up to Unicode's normal form, or else ignoring case and reading `_`, `-`
    and spaces as the same. The model may have more classes than the dataset. Where names cannot say it:

    - a model with generic labels (LABEL_0, LABEL_1, ...) and at least as many classes is taken in the dataset's order;
    - labels of which several of the model's have the name are taken by their place, if the dataset has as many labels
      as the model and all others are in the same places;
    - integers that are no names of the model are its class ids, or, if one of them is none, its classes in order, if
      there are as many.

    Each of these three is said on the log.

    Args:
        names: the dataset's label names, by label id.
        id2label: the model's labels by class id: `config.id2label`.
        label_mapping: what is not matched by name, as [`as_label_mapping`] takes it.
        values: of a column of integers, what each label id stands for there.
        used: the label ids that samples have; by default all. Others need no match.
        complete: these are the labels of all the data that the model was trained on. Of fewer no order tells anything.

    Returns:
        A list as long as `names`: position = dataset label id, value = model class id; -1 for a label that no sample
        has, and that the model lacks.

    Raises:
        UnlearningError: if the model has fewer than two labels or ids that do not count from 0, if it lacks a label, if
            a name could be several of its labels, or several names the same one; if the mapping does not fit.
    """
    outputs = {int(class_id): str(label) for class_id, label in sorted(id2label.items())}
    if len(outputs) < 2:
        raise UnlearningError(
            f"the model has {len(outputs)} label, {there_are(outputs.values())}: a classifier needs at least two"
        )
    label_mapping = as_label_mapping(label_mapping)
    if values is None:
        values = _ids_as_names(names)
    needed = list(range(len(names))) if used is None else sorted({int(label) for label in used})
    if label_mapping == IN_ORDER:
        return _listed(_in_order(names, needed, len(outputs)), names)
    if label_mapping == BY_ID:
        return _listed(_by_id(names, needed, len(outputs), values), names)
    assert not isinstance(label_mapping, str)
    mapping = label_mapping or {}
    counted = set(outputs) == set(range(len(outputs)))
    # Where some id is no output's, no name says which output is meant.
    to_ids = all(isinstance(target, int) or _DIGITS.fullmatch(target) for target in mapping.values())
    given = _mapped(mapping, names, outputs, values) if counted or to_ids else {}
    if not counted and not given.keys() >= set(needed):
        raise UnlearningError(
            f"the model's labels have the ids {min(outputs)} to {max(outputs)}, but its outputs are 0 to "
            f"{len(outputs) - 1}; expected id2label to count them from 0, or label_mapping 'order', or one to ids"
        )
    left = {class_id: label for class_id, label in outputs.items() if class_id not in given.values()}
    matched, ambiguous = _by_name([label for label in range(len(names)) if label not in given], names, left)
    unmatched = [label for label in needed if label not in given and label not in matched]
    if unmatched and not given:
        # Places are those of the model's where there are as many of both, or where nothing is left out.
        places = complete or values is not None or len(names) == len(outputs)
        found = _without_names(names, needed, outputs, values, matched) if places else None
        if found is not None:
            return _listed(found, names)
    for label in unmatched:
        if label in ambiguous:
            several = ", ".join(f"{outputs[class_id]!r} (id {class_id})" for class_id in ambiguous[label])
            raise UnlearningError(
                f"label {names[label]!r} could be any of the model's labels {several}; expected a label_mapping that "
                "gives its id"
            )
    if unmatched:
        raise UnlearningError(_lacks([names[label] for label in unmatched], list(outputs.values()), len(needed)))
    by_class: dict[int, int] = {}
    # Labels of samples come first: another that is alike goes without.
    for label in (*needed, *matched):
        other = by_class.setdefault(matched[label], label) if label in matched else label
        if other != label and label in needed:
            first, second = sorted((other, label))
            raise UnlearningError(
                f"labels {names[first]!r} and {names[second]!r} both match the model's label "
                f"{outputs[matched[label]]!r}"
            )
    return _listed({**{label: class_id for class_id, label in by_class.items()}, **given}, names)


def _ids_as_names(names: Sequence[str]) -> list[int] | None:
    """The ids that names say, if they say nothing else: "0", "1" ... of a `ClassLabel` without names, or LABEL_0 ..."""
    if list(names) == [str(label) for label in range(len(names))]:
        return list(range(len(names)))
    found = [_GENERIC_LABEL.fullmatch(name) for name in names]
    return [int(match.group(1)) for match in found if match] if all(found) else None


def _listed(class_ids: Mapping[int, int], names: Sequence[str]) -> list[int]:
    return [class_ids.get(label, -1) for label in range(len(names))]


def _in_order(names: Sequence[str], needed: list[int], size: int) -> dict[int, int]:
    for labels in (list(range(len(names))), needed):
        if len(labels) == size:
            return dict(zip(labels, range(size), strict=True))
    raise UnlearningError(
        f"label_mapping 'order' needs as many labels on both sides; the dataset has {len(names)}, the model {size}"
    )


def _by_id(names: Sequence[str], needed: list[int], size: int, values: Sequence[int] | None) -> dict[int, int]:
    ids = list(range(len(names))) if values is None else list(values)
    for label in needed:
        if not 0 <= ids[label] < size:
            raise UnlearningError(
                f"label_mapping 'id' does not fit: label {names[label]!r} of the dataset has the id {ids[label]}, "
                f"the model's are 0 to {size - 1}"
            )
    return {label: class_id for label, class_id in enumerate(ids) if 0 <= class_id < size}


def _mapped(
    mapping: Mapping[str | int, str | int],
    names: Sequence[str],
    outputs: Mapping[int, str],
    values: Sequence[int] | None,
) -> dict[int, int]:
    """Label id of the dataset -> class id of the model, of those that a mapping names."""
    by_name = _grouped(outputs.items(), in_normal_form)
    given: dict[int, int] = {}
    taken: dict[int, int] = {}
    for label, target in check_mapped_labels(mapping, names, values).items():
        if isinstance(target, str) and (several := by_name.get(in_normal_form(target))):
            if len(several) > 1:
                raise UnlearningError(
                    f"label_mapping: {target!r} is the name of {len(several)} of the model's labels, with the ids "
                    f"{', '.join(map(str, several))}; expected one of the ids"
                )
            class_id = several[0]
        elif isinstance(target, int) or _DIGITS.fullmatch(target):
            class_id = int(target)
            if not 0 <= class_id < len(outputs):
                raise UnlearningError(
                    f"label_mapping: the model has no label of the id {class_id}; its ids are 0 to {len(outputs) - 1}"
                )
        else:
            raise UnlearningError(
                f"label_mapping: {target!r} is not a label of the model; {did_you_mean(target, outputs.values())}"
            )
        if class_id in taken:
            raise UnlearningError(
                f"label_mapping: labels {names[taken[class_id]]!r} and {names[label]!r} both go to the model's label "
                f"{outputs.get(class_id, class_id)!r}; expected one each"
            )
        taken[class_id] = label
        given[label] = class_id
    return given


def check_mapped_labels(
    mapping: Mapping[str | int, str | int], names: Sequence[str], values: Sequence[int] | None = None
) -> dict[int, str | int]:
    """A label mapping with the dataset's labels by id.

    Raises:
        UnlearningError: a label that the dataset lacks, with the nearest names, or one given twice, by name and by id.
    """
    find = _finder(names, "label_mapping: the label", values)
    by_id: dict[int, str | int] = {}
    for wanted, target in mapping.items():
        label = find(wanted)
        if label in by_id:
            raise UnlearningError(f"label_mapping: label {names[label]!r} of the dataset is given more than once")
        by_id[label] = target
    return by_id


def mapped_part(
    mapping: LabelMapping | None, names: Sequence[str], values: Sequence[int] | None = None
) -> LabelMapping | None:
    """What a label mapping says of these labels, for samples that have only some of a dataset's."""
    if mapping is None or isinstance(mapping, str):
        return mapping
    find = _finder(names, "", values)

    def known(label: str | int) -> bool:
        try:
            find(label)
        except UnlearningError:
            return False
        return True

    return {label: target for label, target in mapping.items() if known(label)} or None


def _by_name(
    labels: Iterable[int], names: Sequence[str], outputs: Mapping[int, str]
) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Label ids matched to class ids, by the strictest form in which any name is the same; and those of several."""
    forms: list[Callable[[str], str]] = [str, in_normal_form, _compatible, folded]
    indices = [_grouped(outputs.items(), form) for form in forms]
    matched: dict[int, int] = {}
    ambiguous: dict[int, list[int]] = {}
    for label in labels:
        for form, index in zip(forms, indices, strict=True):
            candidates = index.get(form(names[label]), [])
            if len(candidates) == 1:
                matched[label] = candidates[0]
            elif candidates:
                ambiguous[label] = candidates
            if candidates:
                break
    return matched, ambiguous


def _without_names(
    names: Sequence[str],
    needed: list[int],
    outputs: Mapping[int, str],
    values: Sequence[int] | None,
    matched: Mapping[int, int],
) -> dict[int, int] | None:
    """The match where names do not give it, said on the log; None where it would be a guess."""
    size = len(outputs)
    generic = all(_GENERIC_LABEL.fullmatch(label) for label in outputs.values())
    ids = range(len(names)) if values is None else values
    fits = all(0 <= ids[label] < size for label in needed)
    if (generic or values is not None) and not any(label in matched for label in needed):
        theirs = there_are(outputs.values(), 3)
        said = f"the dataset's labels ({there_are(names, 3)}) are no names of the model's ({theirs})"
        if fits:
            warn_once(f"{said}: they are taken by their ids, 0 for 0 and so on")
            return _by_id(names, needed, size, values)
        if values is not None and size in (len(names), len(needed)):
            warn_once(f"{said}: they are taken in their order, as there are {size} on both sides")
            return _in_order(names, needed, size)
        if generic:
            raise UnlearningError(f"the dataset has {len(needed)} labels, the model only {size}")
        return None
    return _by_place(names, outputs, matched)


def _by_place(names: Sequence[str], outputs: Mapping[int, str], matched: Mapping[int, int]) -> dict[int, int] | None:
    """Every label at its own place, if names of one label only say so, and the other places have names of several."""
    shared = {label for ids in _grouped(outputs.items(), folded).values() if len(ids) > 1 for label in ids}
    if len(names) != len(outputs) or not matched or any(label != class_id for label, class_id in matched.items()):
        return None
    rest = [label for label in range(len(names)) if label not in matched]
    if not shared.issuperset(rest):
        return None
    pairs = ", ".join(f"{names[label]!r} with {outputs[label]!r} (id {label})" for label in rest)
    warn_once(f"several of the model's labels have one name, so labels are paired by their place: {pairs}")
    return {label: label for label in range(len(names))}


def _lacks(missing: list[str], labels: list[str], num_needed: int) -> str:
    nearest = did_you_mean(missing[0], labels)
    near = f" ({missing[0]!r}: {nearest})" if nearest.startswith("did") else ""
    ordered = ", or label_mapping 'order'" if num_needed == len(labels) else ""
    return (
        f"the model lacks the labels {there_are(missing)}; it has: {there_are(labels)}{near}; expected the same names, "
        f"or a label_mapping from the dataset's labels to the model's{ordered}"
    )
