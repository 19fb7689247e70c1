"""The help of a command, from the same dataclasses as its flags, without waiting for transformers."""

from __future__ import annotations

import dataclasses
import textwrap
import types
import typing
from collections.abc import Iterable
from typing import Any


def help_text(command: str, description: str, groups: Iterable[type], has_trainer_flags: bool) -> str:
    """What `hf-unlearn COMMAND --help` prints."""
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
