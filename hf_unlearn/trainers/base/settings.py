"""A field of a config that the command line offers by name, with its line of help.

`hf-unlearn unlearn --help` answers before torch and transformers are imported: it reads these fields from the source of
the configs (see `hf_unlearn.trainers.registry.settings_of`). So what stands in `setting(...)` is written out, not
computed. And what was settled by itself, in words.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(default: Any, description: str, **metadata: Any) -> Any:
    """A dataclass field with its line of help.

    Args:
        default: its default, a literal.
        description: the line of help, a literal.
        **metadata: further metadata, such as `choices`, literals.
    """
    return field(default=default, metadata={"help": description, **metadata})


def settled_in_words(values: dict[str, Any], what_for: str) -> list[str]:
    """The settings that nobody had set, by name, and what they followed from: a line, or none.

    Args:
        what_for: the kind of request. `learning_rate` follows from the model, whatever the request.
    """
    told = {name: f"{value:.6g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    of_model = told.pop("learning_rate", None)
    lines = [f"{', '.join(f'{name} {value}' for name, value in told.items())}: for {what_for}"] if told else []
    return [*lines, *([f"learning_rate {of_model}: for a model of this width"] if of_model is not None else [])]
