"""How much an evaluation looks at; this imports nothing heavy, so the command's help knows it, too."""

from __future__ import annotations

from hf_unlearn.errors import UnlearningError

LEVELS = ("fast", "standard")
MOST_REFERENCES = 4


def check_settings(level: str, num_references: int, batch_size: int, max_retain_samples: int) -> None:
    """Refuse what no comparison can be made with, before anything is loaded.

    Raises:
        UnlearningError: no such level, more references than [`MOST_REFERENCES`], or a number out of range.
    """
    if level not in LEVELS:
        raise UnlearningError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    if num_references > MOST_REFERENCES:
        raise UnlearningError(f"{num_references} reference models were given; expected at most {MOST_REFERENCES}")
    if batch_size < 1:
        raise UnlearningError(f"batch_size is {batch_size}; expected at least 1")
    if max_retain_samples < 0:
        raise UnlearningError(f"max_retain_samples is {max_retain_samples}; expected 0 (all) or more")
