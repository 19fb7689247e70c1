"""The forget request: what a person asks to have forgotten, before any dataset is looked at."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_unlearn.errors import UnlearningError, there_are
from hf_unlearn.request.indices import as_index_tuple
from hf_unlearn.request.public_form import in_words, public_form

# Kinds of request whose forget set is given by itself, not picked from the train split.
GIVEN_SETS = ("dataset_config", "split", "samples")
# What becomes of the classes of samples that are given by themselves; nothing else of the dataset says it.
SAMPLES_OF = ("class", "subset")
# Which field gives which kind of request; a request gives exactly one of them.
_FIELD_OF_KIND = {
    "class": "classes",
    "subclass": "subclasses",
    "fraction": "fraction",
    "count": "count",
    "indices": "indices",
    "where": "where",
    "dataset_config": "dataset_config",
    "split": "split",
    "samples": "samples",
}
KINDS = tuple(_FIELD_OF_KIND)


@dataclass(frozen=True)
class ForgetRequest:
    """What to forget. Exactly one kind of request must be given.

    Args:
        classes: names or ids of the classes to forget. Digits in a string count as an id only if no class has
            that name.
        subclasses: names or ids, in `subclass_column`, of the sub-classes to forget: samples whose fine label
            is one of them, while the model is trained on the coarse label column.
        subclass_column: the column of fine labels; required with `subclasses`.
        fraction: a random fraction of the train split, strictly between 0 and 1.
        count: a random number of samples of the train split, at least 1.
        stratify: draw the fraction or count in proportion to the classes.
        seed: seed of the random draw; not negative.
        indices: positions in the train split, or the path of a file of them: .txt (one a line), .json (a
            list) or .npy (a one-dimensional integer array). A file is read when the splits are made.
        where: column -> values; forgets the rows that have, in every column, one of its values. Values are
            compared as text; see `parse_where` for strings like `photographer_id=42`.
        dataset_config: another configuration of the same dataset, which is itself the forget set.
        split: another split of the same dataset, which is itself the forget set.
        samples: the forget set is given by itself, without the rest of the training set (see `forget_splits`):
            "class" if its classes are to vanish with it, "subset" if other samples go on teaching them. With
            "class", `classes` may say which they are.

    Raises:
        UnlearningError: if no kind or several are given, or a value is out of its range.
    """

    classes: tuple[str | int, ...] = ()
    subclasses: tuple[str | int, ...] = ()
    subclass_column: str | None = None
    fraction: float | None = None
    count: int | None = None
    stratify: bool = False
    seed: int = 0
    indices: tuple[int, ...] | str | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    dataset_config: str | None = None
    split: str | None = None
    samples: str | None = None

    def __post_init__(self) -> None:
        for name in ("subclass_column", "fraction", "count", "stratify", "seed", "dataset_config", "split", "samples"):
            self._set(name, _plain(getattr(self, name)))
        self._set("classes", _as_class_tuple(self.classes, "forget class"))
        self._set("subclasses", _as_class_tuple(self.subclasses, "forget sub-class"))
        if isinstance(self.indices, os.PathLike):
            self._set("indices", os.fspath(self.indices))
        elif self.indices is not None and not isinstance(self.indices, str):
            self._set("indices", as_index_tuple(self.indices))
        self._set("where", _as_where(self.where))
        self._check_one_kind()
        self._check_options()
        self._check_ranges()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _given(self) -> list[str]:
        empty: tuple[object, ...] = (None, (), {})
        given = [
            kind
            for kind, name in _FIELD_OF_KIND.items()
            # An empty list of indices is a request, and an empty one: it fails as such, not as no request.
            if getattr(self, name) not in empty or (kind == "indices" and self.indices is not None)
        ]
        # Of samples whose classes vanish, the classes are a part of the request.
        return ["samples"] if self.samples == "class" and given == ["class", "samples"] else given

    def _check_one_kind(self) -> None:
        given = self._given()
        if not given:
            raise UnlearningError(f"nothing to forget was named; give one of: {there_are(KINDS)}")
        if len(given) > 1:
            raise UnlearningError(f"only one kind of forget request can be given, not {' and '.join(given)}")

    def _check_options(self) -> None:
        if self.subclasses and self.subclass_column is None:
            raise UnlearningError("forgetting a sub-class needs subclass_column, the column of the fine labels")
        if self.subclass_column is not None and not self.subclasses:
            raise UnlearningError(f"subclass_column {self.subclass_column!r} was given without a sub-class to forget")
        if self.stratify and self.kind not in ("fraction", "count"):
            raise UnlearningError(f"stratify goes with a random fraction or count, not with {self.kind}")
        if self.indices == ():
            raise UnlearningError("the forget set is empty: no index was given")

    def _check_ranges(self) -> None:
        if self.fraction is not None and (
            isinstance(self.fraction, bool) or not isinstance(self.fraction, (int, float)) or not 0 < self.fraction < 1
        ):
            raise UnlearningError(f"forget fraction {self.fraction!r} is not strictly between 0 and 1")
        if self.count is not None and (not _is_int(self.count) or self.count < 1):
            raise UnlearningError(f"forget count {self.count!r} is not an integer of at least 1")
        if self.samples is not None and self.samples not in SAMPLES_OF:
            raise UnlearningError(
                f"samples {self.samples!r} is neither 'class' (their classes vanish) nor 'subset' (their classes stay)"
            )
        if not _is_int(self.seed) or self.seed < 0:
            raise UnlearningError(f"seed {self.seed!r} is not an integer of at least 0")

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self._given()[0]

    def leaves(self, column: str) -> bool:
        """Whether this may be the column of labels: of two columns of classes, a request by values of one leaves it."""
        return bool(self.where) and column not in self.where

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it, for the user's own records; `from_dict` reads it back.

        It may name people (the values of `where`) and files: publish `public_dict` instead.
        """
        values: dict[str, Any] = {"kind": self.kind, **self._random_options()}
        name = _FIELD_OF_KIND[self.kind]
        value = getattr(self, name)
        if name == "where":
            value = {column: list(wanted) for column, wanted in value.items()}
        values[name] = list(value) if isinstance(value, tuple) else value
        if self.classes:
            values["classes"] = list(self.classes)
        if self.subclass_column is not None:
            values["subclass_column"] = self.subclass_column
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ForgetRequest:
        """The request that `to_dict` wrote."""
        unknown = set(values) - {"kind", *cls.__dataclass_fields__}
        if unknown:
            raise UnlearningError(
                f"a forget request has no {there_are(sorted(unknown))}; there are: "
                f"{there_are(cls.__dataclass_fields__)}"
            )
        return cls(**{name: value for name, value in values.items() if name != "kind"})

    def summary(self) -> dict[str, Any]:
        """The kind, names of classes and columns, counts and the seed, for the user's own results.

        Never indices, paths of files, or the values of `where`, which may identify a person. The order in
        which things were named does not matter, so that equal requests have equal summaries. Whoever has the
        dataset may find out from it which samples are meant: publish `public_dict` instead.
        """
        summary: dict[str, Any] = {"kind": self.kind, **self._random_options()}
        if self.kind in ("class", "subclass"):
            name = _FIELD_OF_KIND[self.kind]
            summary[name] = sorted({str(wanted) for wanted in getattr(self, name)})
            if self.subclass_column is not None:
                summary["subclass_column"] = self.subclass_column
        elif self.kind == "samples":
            summary["samples"] = self.samples
            if self.classes:
                summary["classes"] = sorted({str(wanted) for wanted in self.classes})
        elif self.kind == "where":
            summary["columns"] = sorted(self.where)
        elif isinstance(self.indices, tuple):
            summary["num_indices"] = len(self.indices)
        elif self.kind != "indices":
            summary[_FIELD_OF_KIND[self.kind]] = getattr(self, _FIELD_OF_KIND[self.kind])
        return summary

    def public_dict(self, *, publish_request: bool = False, private_names: bool = False) -> dict[str, Any]:
        """What can be published, see [`hf_unlearn.request.public_form.public_form`].

        Args:
            publish_request: all of `summary`: column names, counts and the seed, too.
            private_names: no name of a class, split or configuration.
        """
        return public_form(self.summary(), publish_request=publish_request, private_names=private_names)

    def _random_options(self) -> dict[str, Any]:
        if self.kind not in ("fraction", "count"):
            return {}
        return {"stratify": self.stratify, "seed": self.seed}

    def describe(self) -> str:
        """A phrase such as "the class 'rocket'" or "a random 5 % (seed 0)", which tells as much as `summary`."""
        return in_words(self.summary())


def check_request(request: object) -> None:
    """Refuse what is no request.

    Raises:
        UnlearningError: it is of another type.
    """
    if not isinstance(request, ForgetRequest):
        raise UnlearningError(
            f"the request is {request!r}; expected a ForgetRequest, such as ForgetRequest(classes='rocket')"
        )


def parse_where(conditions: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`["photographer_id=42", "photographer_id=43", "country=fr"]` as the `where` of a request.

    A column given several times matches any of its values; different columns must all match. Only the first
    `=` separates, so values may have more of them; spaces are kept.

    Raises:
        UnlearningError: if a condition has no `=` or no column before it.
    """
    where: dict[str, list[str]] = {}
    for condition in [conditions] if isinstance(conditions, str) else conditions:
        column, separator, value = condition.partition("=")
        if not separator or not column:
            raise UnlearningError(f"condition {condition!r} is not of the form COLUMN=VALUE")
        where.setdefault(column, []).append(value)
    return {column: tuple(values) for column, values in where.items()}


def _as_class_tuple(classes: object, what: str) -> tuple[str | int, ...]:
    classes = _plain(classes)
    if classes is None:
        return ()
    if isinstance(classes, (str, bytes, int)) or not isinstance(classes, Iterable):
        classes = (classes,)
    listed: list[Any] = [_plain(value) for value in classes]
    for value in listed:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise UnlearningError(f"{what} {value!r} is neither a name nor an integer id")
    return tuple(listed)


def _as_where(where: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(where, Mapping):
        raise UnlearningError(f"where must map columns to values, not be {where!r}; see parse_where")
    result: dict[str, tuple[str, ...]] = {}
    for column, values in where.items():
        values = _plain(values)
        if isinstance(values, str) or not isinstance(values, Iterable):
            values = (values,)
        values = list(values)
        if None in values:
            raise UnlearningError(f"where has the value None for column {column!r}; expected values that rows have")
        result[str(column)] = tuple(dict.fromkeys(str(value) for value in values))
        if not result[str(column)]:
            raise UnlearningError(f"where has no value for column {column!r}")
    return result


def _plain(value: Any) -> Any:
    """A NumPy scalar or array, or a tensor, as Python's own: as good a value, but JSON cannot write it."""
    if not hasattr(value, "tolist"):
        return value
    plain = value.tolist()
    if isinstance(plain, float):
        # The shortest decimal is what was meant: 0.1, not the float32 next to it.
        with contextlib.suppress(ValueError):
            return float(str(value))
    return plain


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
