"""A request as it may be published: what of its summary an outsider may know, and the same in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Requests that say by themselves which samples are meant, to whoever has the dataset.
NAMED_KINDS = ("class", "subclass", "dataset_config", "split")
# Drawn with a seed: whoever has the dataset can draw again.
DRAWN_KINDS = ("fraction", "count")
# Fields that hold names of classes, splits and configurations, which may be those of people.
_NAMES = ("classes", "subclasses", "subclass_column", "dataset_config", "split")
# What of a request that is not to be found out may be known nevertheless.
_HARMLESS = ("kind", "fraction", "count", "stratify", "samples", "classes", "num_classes")


def is_open(summary: Mapping[str, Any] | None, *, publish_request: bool = False, private_names: bool = False) -> bool:
    """Whether everybody may know which samples are meant, and so every figure on them.

    Args:
        summary: from [`ForgetRequest.summary`]; None: nothing is known of the request.
        publish_request: the owner wants it so.
        private_names: the owner does not want classes, splits and configurations named.
    """
    kind = None if summary is None else summary.get("kind")
    if kind in NAMED_KINDS:
        return not private_names
    return publish_request and kind is not None


def public_form(
    summary: Mapping[str, Any], *, publish_request: bool = False, private_names: bool = False
) -> dict[str, Any]:
    """What may be published of a request's summary. Of what this gives it gives the same again.

    Of requests that single out people or samples (by the values of a column, by index, samples given alone) that is
    the kind alone: columns and counts narrow down who is meant. Of random ones it is not the seed, which gives the
    samples to whoever has the dataset.

    Args:
        summary: from [`ForgetRequest.summary`].
        publish_request: everything in the summary.
        private_names: but no name of a class, split or configuration.
    """
    open_to_all = is_open(summary, publish_request=publish_request, private_names=private_names)
    form = {
        name: value
        for name, value in summary.items()
        if (open_to_all or name in _HARMLESS) and not (private_names and name in _NAMES)
    }
    if private_names and "classes" in summary:
        form["num_classes"] = len(summary["classes"])
    return form


def in_words(form: Mapping[str, Any], num_labels: int | None = None) -> str:
    """A public form as a phrase, such as "the class 'rocket'" or "samples singled out by the values of a column".

    Args:
        num_labels: of how many classes those without a name are some.
    """
    kind = form["kind"]
    if kind == "class":
        if "classes" in form:
            return class_words(form["classes"])
        number = form.get("num_classes", 1)
        return f"{'a class' if number == 1 else f'{number} classes'}{'' if num_labels is None else f' of {num_labels}'}"
    if kind == "subclass":
        if "subclasses" not in form:
            return "a sub-class, or several"
        noun = "sub-class" if len(form["subclasses"]) == 1 else "sub-classes"
        return f"the {noun} {listed(form['subclasses'])} of column {form['subclass_column']!r}"
    if kind in DRAWN_KINDS:
        drawn = ["stratified"] if form.get("stratify") else []
        drawn += [f"seed {form['seed']}"] if "seed" in form else []
        what = f"a random {100 * form['fraction']:.6g} %" if kind == "fraction" else _counted(form["count"], "random ")
        return f"{what} ({', '.join(drawn)})" if drawn else what
    if kind == "indices":
        return f"{_counted(form['num_indices'])} given by index" if "num_indices" in form else "samples given by index"
    if kind == "where":
        columns = form.get("columns")
        return f"the samples with given values of {listed(columns) if columns else 'a column'}"
    if kind == "samples" and form.get("samples") == "class":
        return (
            f"{class_words(form['classes'])} (by samples alone)" if "classes" in form else "classes, by samples alone"
        )
    if kind == "samples":
        return "samples given alone (others of their classes stay)"
    what = {"dataset_config": "dataset configuration", "split": "split"}[kind]
    return f"the {what} {form[kind]!r}" if kind in form else f"a {what}"


def class_words(classes: Sequence[object]) -> str:
    """The classes by name, as a phrase."""
    return f"the {'class' if len(classes) == 1 else 'classes'} {listed(classes)}"


def listed(values: Sequence[object]) -> str:
    """`'a', 'b' and 'c'`."""
    quoted = [repr(str(value)) for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _counted(number: int, what: str = "") -> str:
    return f"{number} {what}{'sample' if number == 1 else 'samples'}"
