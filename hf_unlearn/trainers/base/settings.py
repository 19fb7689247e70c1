"""A field of a config that the command line offers by name, with its line of help.

`hf-unlearn unlearn --help` answers before torch and transformers are imported: it reads these fields from the source of
the configs (see `hf_unlearn.trainers.registry.settings_of`). So what stands in `setting(...)` is written out, not
computed.
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
