"""What stands in the boxes of the page, and the words of a command line that it comes to."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from hf_unlearn.app.options import Options
from hf_unlearn.errors import UnlearningError
from hf_unlearn.request import parse_where

TRAINING_SET, SAMPLES, PHOTOGRAPHS = "training set", "samples alone", "photographs"
SOURCES = {
    TRAINING_SET: "The training set, and what of it",
    SAMPLES: "The samples to forget alone",
    PHOTOGRAPHS: "Photographs from this computer",
}


class Kind(NamedTuple):
    """A kind of request: what it is called, the flag that it comes to, and what is to be written."""

    title: str
    flag: str
    hint: str


KINDS = {
    "classes": Kind("Classes", "forget_classes", "Names or ids, one a line."),
    "where": Kind("Rows by value", "forget_where", "COLUMN=VALUE, one a line: a person's photographs, say."),
    "indices": Kind("Samples by position", "forget_indices", "Positions in the train split, or one file of them."),
    "subclasses": Kind("A part of a class", "forget_subclasses", "COLUMN=VALUE of the finer labels, one a line."),
    "count": Kind("A number, drawn at random", "forget_count", "How many: 100"),
    "fraction": Kind("A share, drawn at random", "forget_fraction", "Between 0 and 1: 0.05"),
    "split": Kind("A split", "forget_split", "Its name."),
}
# What becomes of the classes of samples that come alone.
FORGET_KINDS = {"class": "Their class goes with them", "subset": "Other samples of their class stay"}
# What strangers may ask of a machine that they share: steps, and levels of the judging.
MOST_STEPS = 1000
OF_STRANGERS = ("fast", "standard")


@dataclass
class Form:
    """The boxes of the page."""

    model: str = ""
    source: str = TRAINING_SET
    dataset: str = ""
    photographs: Sequence[str] = ()
    kind: str = "classes"
    words: str = ""
    forget_kind: str | None = "class"
    forget_label: str = ""
    test_dataset: str = ""
    method: str = "mu_mis"
    max_steps: str = ""
    level: str = "fast"
    references: str = ""

    def as_allowed(self, options: Options) -> Form:
        """The same, but what strangers may not choose is as it was set up, whatever a browser sends."""
        if not options.is_public:
            return self
        allowed = replace(self, model=options.model, dataset=options.dataset, test_dataset="", references="")
        if allowed.level not in OF_STRANGERS:
            allowed.level = OF_STRANGERS[-1]
        with contextlib.suppress(ValueError):
            allowed.max_steps = str(min(int(allowed.max_steps), MOST_STEPS))
        return allowed

    def command(self, options: Options, photographs: str, output_dir: str) -> list[str]:
        """The words of `hf-unlearn unlearn` for it. Each is one flag with its value, which so cannot be another flag.

        Args:
            photographs: the folder that holds what was dragged in.

        Raises:
            UnlearningError: something was not named, or names what the page may not read.
        """
        words = [f"--model_name_or_path={options.checked(self.model, 'model')}", f"--output_dir={output_dir}"]
        words.append(f"--method={self.method}")
        if self.max_steps.strip():
            words.append(f"--max_steps={self.max_steps.strip()}")
        if self.source == TRAINING_SET:
            return [*words, f"--dataset_name={options.checked(self.dataset, 'dataset')}", *self._request(options)]
        name = photographs if self.source == PHOTOGRAPHS else options.checked(self.dataset, "forget set")
        words += [f"--forget_dataset={name}", f"--forget_kind={self.forget_kind or ''}"]
        if self.forget_label.strip():
            words.append(f"--forget_label={self.forget_label.strip()}")
        if self.test_dataset.strip():
            words.append(f"--test_dataset={options.checked(self.test_dataset, 'test set')}")
        return words

    def named_references(self, options: Options) -> list[str]:
        """Models retrained without the forget set, if any were named.

        Raises:
            UnlearningError: one that the page may not read.
        """
        return [options.checked(line, "retrained model") for line in _lines(self.references)]

    def _request(self, options: Options) -> list[str]:
        if self.kind not in KINDS:
            raise UnlearningError(f"kind of request {self.kind!r} is not one of {', '.join(KINDS)}")
        title, flag, hint = KINDS[self.kind]
        lines = _lines(self.words)
        if not lines:
            raise UnlearningError(f"nothing to forget was named; expected, for {title!r}: {hint}")
        if self.kind == "indices":
            lines = [word for line in lines for word in line.replace(",", " ").split()]
            if len(lines) == 1 and not lines[0].lstrip("-").isdecimal():
                lines = [options.checked(self.words, "file of positions")]
        if self.kind == "subclasses":
            found = parse_where(lines)
            if len(found) > 1:
                raise UnlearningError(f"columns {', '.join(map(repr, found))} were named; expected one")
            ((column, values),) = found.items()
            return [f"--subclass_column={column}", *(f"--{flag}={value}" for value in values)]
        if self.kind in ("count", "fraction", "split") and len(lines) > 1:
            raise UnlearningError(f"{title!r} has {len(lines)} lines; expected one")
        return [f"--{flag}={line}" for line in lines]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
