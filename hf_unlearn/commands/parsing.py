"""Flags, a YAML file, or both, into dataclasses; and help that does not wait for transformers to be imported."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import yaml

from hf_unlearn.errors import UnlearningError, did_you_mean, one_line


def parse(
    command: str,
    description: str,
    light: Sequence[type],
    heavy: Callable[[], type] | None,
    described: type | None,
    argv: Sequence[str],
) -> tuple[Any, ...]:
    """Parse a command's flags.

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
        UnlearningError: an unknown flag, a value of the wrong type, a missing flag, or a bad `--config` file.
        SystemExit: with status 0, after `--help`.
    """
    if any(word in ("-h", "--help") for word in argv):
        groups = [*light] if described is None else [*light, described]
        print(_help(command, description, groups, has_trainer_flags=heavy is not None))
        raise SystemExit(0)

    from transformers import HfArgumentParser

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UnlearningError(message.replace("argument ", "", 1))

    classes: Any = [*light] if heavy is None else [*light, heavy()]
    parser = Parser(classes, add_help=False, allow_abbrev=False)
    known = sorted({option for action in parser._actions for option in action.option_strings})
    # HfArgumentParser takes --a_b and --a-b; one of them is enough in a message.
    named = [option for option in known if "-" not in option.lstrip("-")]
    words = [*_config_words(argv, known), *_without_config(argv)]
    try:
        *instances, unknown = parser.parse_args_into_dataclasses(words, return_remaining_strings=True)
    except (TypeError, ValueError) as error:
        if isinstance(error, UnlearningError):
            raise
        raise UnlearningError(one_line(error)) from error
    if unknown:
        raise UnlearningError(f"{unknown[0]!r} is not a flag of {command}; {did_you_mean(unknown[0], named)}")
    return tuple(instances)


def _config_words(argv: Sequence[str], known: Sequence[str] | None) -> list[str]:
    """The settings of the `--config` file as flags, to be put before those of the command line."""
    path = None
    for position, word in enumerate(argv):
        if word == "--config":
            if position + 1 == len(argv):
                raise UnlearningError("--config is the last word; expected a YAML file after it")
            path = argv[position + 1]
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    if path is None:
        return []
    try:
        with open(path, encoding="utf-8") as file:
            settings = yaml.safe_load(file) or {}
    except OSError as error:
        raise UnlearningError(f"--config {path!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnlearningError(f"--config {path!r} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(settings, dict):
        raise UnlearningError(f"--config {path!r} holds a {type(settings).__name__}; expected settings by name")
    words: list[str] = []
    for name, value in settings.items():
        option = f"--{name}"
        if known is not None and option not in known:
            names = [option.lstrip("-") for option in known if "-" not in option.lstrip("-")]
            raise UnlearningError(
                f"--config {path!r} sets {str(name)!r}, which is no flag; {did_you_mean(name, names)}"
            )
        if value is None:
            continue
        if isinstance(value, list):
            words += [option, *map(str, value)]
        else:
            words.append(f"{option}={json.dumps(value) if isinstance(value, dict) else value}")
    return words


def _without_config(argv: Sequence[str]) -> list[str]:
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("--config="):
            kept.append(word)
    return kept


def _help(command: str, description: str, groups: Iterable[type], has_trainer_flags: bool) -> str:
    lines = [
        f"usage: hf-unlearn {command} [--config FILE.yaml] [flags]",
        "",
        *textwrap.wrap(description, 100),
        "",
    ]
    lines += ["  --config FILE", "        Settings by name; flags on the command line override them."]
    for group in groups:
        lines += ["", f"{(group.__doc__ or group.__name__).strip().splitlines()[0].rstrip('.')}:"]
        hints = typing.get_type_hints(group)
        for field in dataclasses.fields(group):
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            shown = "required" if required else f"default: {field.default}"
            note = "" if field.default is None else f" ({shown})"
            lines.append(f"  --{field.name} {_metavar(field, hints[field.name])}".rstrip())
            lines += textwrap.wrap(
                f"{field.metadata.get('help', '')}{note}",
                100,
                initial_indent=" " * 8,
                subsequent_indent=" " * 8,
            )
    if has_trainer_flags:
        lines += ["", "Trainer:", "  --output_dir DIR", "        Where the model is saved (required)."]
        lines += [
            *textwrap.wrap(
                "Every other field of transformers.TrainingArguments is a flag, too: --seed, --use_cpu, --bf16, "
                "--save_strategy, --resume_from_checkpoint, --report_to and so on.",
                100,
                initial_indent="  ",
                subsequent_indent="  ",
            )
        ]
    return "\n".join(lines)


def _metavar(field: dataclasses.Field, hint: Any) -> str:
    if "choices" in field.metadata:
        return "{" + ",".join(map(str, field.metadata["choices"])) + "}"
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is list:
        return "VALUE [VALUE ...]"
    return {bool: "", int: "N", float: "X"}.get(hint, "VALUE")


def peek(name: str, argv: Sequence[str]) -> str | None:
    """The value given for `--name`, on the command line or else in the `--config` file, before anything is parsed."""
    options = {f"--{name}", f"--{name.replace('_', '-')}"}
    found = None
    words = [*_config_words(argv, None), *argv]
    for position, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in options:
            found = value if equals else "".join(words[position + 1 : position + 2])
    return found


def is_first_process() -> bool:
    """Whether this is the process that speaks and writes, of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def say(*lines: str) -> None:
    """Print for a person, from the first process only."""
    if is_first_process():
        print(*lines, sep="\n", file=sys.stdout, flush=True)
