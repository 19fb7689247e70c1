"""Flags, a YAML file, or both, into dataclasses."""

from __future__ import annotations

import argparse
import os
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any

from hf_unlearn.commands.arguments import PATHS
from hf_unlearn.commands.help import help_text
from hf_unlearn.commands.terminal import plain_signs
from hf_unlearn.commands.words import Written, written
from hf_unlearn.errors import UnlearningError, did_you_mean, one_line, there_are
from hf_unlearn.files import expand_user


def parse(
    command: str,
    description: str,
    light: Sequence[type],
    heavy: Callable[[], type] | None,
    described: type | None,
    argv: Sequence[str],
) -> tuple[Any, ...]:
    """Parse a command's flags.

    A flag on the command line comes before the same one in the `--config` file. The values of a list flag that stands
    several times add up; any other flag must not be given two values. `~` in a path is expanded.

    Args:
        command: its name, for messages.
        description: first line of its help.
        light: dataclasses of flags that are cheap to import.
        heavy: imports and returns the dataclass of the remaining flags, a `TrainingArguments`.
        described: what the help says of `heavy`: a light parent of it.
        argv: what follows the command.

    Returns:
        An instance of each dataclass, in order.

    Raises:
        UnlearningError: an unknown flag, a value of the wrong type, two values for one, a missing flag, or a bad
            `--config` file.
        SystemExit: with status 0, after `--help`.
    """
    if any(word in ("-h", "--help") for word in argv):
        groups = [*light] if described is None else [*light, described]
        print(help_text(command, description, groups, has_trainer_flags=heavy is not None))
        raise SystemExit(0)
    given = written(argv)

    from transformers import HfArgumentParser

    classes: Any = [*light] if heavy is None else [*light, heavy()]
    parser = HfArgumentParser(classes, add_help=False, allow_abbrev=False)
    flags = _Flags(command, classes, parser._actions)
    values = flags.values(given)
    try:
        # Settings refuse values by many kinds of error, and those of other libraries need not be among them.
        return parser.parse_dict(values)
    except UnlearningError:
        raise
    except Exception as error:
        raise UnlearningError(one_line(error)) from error


class _Flags:
    """The flags of a command, and what their values are."""

    def __init__(self, command: str, classes: Sequence[type], actions: Sequence[argparse.Action]):
        self.command = command
        self.actions = {option.replace("-", "_"): action for action in actions for option in action.option_strings}
        self.required = [action.dest for action in actions if action.required]
        hints = {name: hint for each in classes for name, hint in typing.get_type_hints(each).items()}
        # HfArgumentParser knows one type a flag; some settings of the Trainer take a word or a list of words.
        self.lists = {name for name, hint in hints.items() if _takes_list(hint)}

    def values(self, given: Sequence[Written]) -> dict[str, Any]:
        """The values of the fields that were given, by name."""
        texts: dict[str, list[Written]] = {}
        before = None
        for each in given:
            action = self._action(each, before)
            before = each
            earlier = texts.setdefault(action.dest, [])
            if earlier and earlier[0].from_file and not each.from_file:
                # The command line overrides the file.
                earlier.clear()
            earlier.append(each)
        missing = [f"--{name}" for name in self.required if name not in texts]
        if missing:
            raise UnlearningError(f"expected {' and '.join(missing)}; {self.command} does not go without")
        return {name: self._value(name, each) for name, each in texts.items()}

    def _action(self, each: Written, before: Written | None) -> argparse.Action:
        """The action that a flag stands for; refuses words that stand for none. `before`: the flag before it."""
        action = self.actions.get(each.flag.replace("-", "_")) if each.flag else None
        if action is not None:
            return action
        # One spelling of a flag is enough in a message.
        known = sorted({f"--{action.dest}" for action in self.actions.values()})
        if each.from_file:
            names = [flag.removeprefix("--") for flag in known]
            raise UnlearningError(
                f"the --config file sets {each.flag.removeprefix('--')!r}, which is no flag of {self.command}; "
                f"{did_you_mean(each.name, names)}"
            )
        word = each.flag or each.values[0]
        near = did_you_mean(word, known)
        hint = ""
        if each.flag and before is not None and (before.name in self.lists or self._is_unfinished(before)):
            end = "" if near.endswith("?") else "."
            hint = f"{end} A value that begins with two dashes is written {before.flag}={word}"
        raise UnlearningError(f"{word!r} is not a flag of {self.command}; {near}{hint}")

    def _is_unfinished(self, each: Written) -> bool:
        return not each.values and self.actions[each.flag.replace("-", "_")].nargs is None

    def _value(self, name: str, given: Sequence[Written]) -> Any:
        found = [self._values_of(each) for each in given]
        if name in self.lists:
            every = [value for values in found for value in values]
            return every if len(every) > 1 or self.actions[f"__{name}"].nargs == "+" else every[0]
        for each, values in zip(given, found, strict=True):
            if len(values) > 1:
                raise UnlearningError(f"--{name} is given {there_are(each.values)}; expected one value")
        single = [values[0] for values in found]
        # What is no number does not equal itself.
        if any(value != single[0] and repr(value) != repr(single[0]) for value in single):
            said = [", ".join(each.values) or each.flag for each in given]
            raise UnlearningError(f"--{name} is given several times, with {there_are(said)}; expected one value")
        return single[0]

    def _values_of(self, each: Written) -> list[Any]:
        """The values of one flag, as what they are of."""
        action = self.actions[each.flag.replace("-", "_")]
        name = action.dest
        if action.nargs == 0:
            if each.values:
                raise UnlearningError(f"{each.flag} takes no value, but is given {each.values[0]!r}")
            return [action.const]
        if not each.values:
            if action.nargs != "?":
                raise UnlearningError(f"{each.flag} has no value; expected {'some' if name in self.lists else 'one'}")
            return [action.const]
        found = []
        for text in each.values:
            if f"-{text}".replace("-", "_") in self.actions and text.startswith("-"):
                raise UnlearningError(
                    f"{text!r} is not a flag of {self.command}; did you mean '-{text}'? "
                    f"A value of this name is written {each.flag}={text}"
                )
            found.append(_converted(action, text))
        return found


def _takes_list(hint: Any) -> bool:
    return any(typing.get_origin(each) is list for each in (hint, *typing.get_args(hint)))


def _converted(action: argparse.Action, text: str) -> Any:
    """A text as the value of a flag."""
    name = action.dest
    if "\0" in text:
        # No path can hold it, and every library says so in its own way.
        raise UnlearningError(f"--{name} {text!r} holds a null character; expected text without one")
    kind: Any = action.type or str
    named = str(getattr(kind, "__name__", kind)).replace("string_to_bool", "boolean")
    if named == "boolean":
        # Words of YAML that transformers does not know.
        text = {"on": "true", "off": "false"}.get(text.lower(), text)
    try:
        value = kind(text)
    except Exception as error:
        # Some settings of the Trainer are of types that are not made from a text.
        raise UnlearningError(f"--{name}: invalid {named} value: {text!r}") from error
    if action.choices is not None and value not in action.choices:
        raise UnlearningError(f"--{name} {text!r} is not known; {did_you_mean(text, action.choices)}")
    return expand_user(value) if name in PATHS and isinstance(value, str) else value


def is_first_process() -> bool:
    """Whether this is the process that speaks and writes, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def say(*lines: str) -> None:
    """Print for a person, from the first process only."""
    if is_first_process():
        encoding = getattr(sys.stdout, "encoding", None)
        print(*(plain_signs(line, encoding) for line in lines), sep="\n", flush=True)
