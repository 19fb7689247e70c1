"""How much an evaluation looks at; this imports nothing heavy, so the command's help knows it, too."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hf_unlearn.errors import UnlearningError

# Percent; a model above it knows classes that are to be gone altogether.
WHOLE_CLASS_ACCURACY = 2.0
LEVELS = ("fast", "standard", "deep")
MOST_REFERENCES = 4
# Of the retained ones, that are looked at unless somebody says otherwise.
MOST_RETAINED_SAMPLES = 10_000


def check_settings(
    level: str, references: Sequence[object], batch_size: int, max_retain_samples: int, seed: int = 0
) -> None:
    """Refuse what no comparison can be made with, before anything is loaded.

    Raises:
        UnlearningError: no such level, more references than [`MOST_REFERENCES`] or the same one twice, or a number out
            of range.
    """
    if level not in LEVELS:
        raise UnlearningError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    if len(references) > MOST_REFERENCES:
        raise UnlearningError(f"{len(references)} reference models were given; expected at most {MOST_REFERENCES}")
    known: dict[object, object] = {}
    for each in references:
        # A folder is the same by any path, and a model in memory by itself.
        same = os.path.realpath(each) if isinstance(each, (str, os.PathLike)) else id(each)
        if same in known:
            shown = f"{each!r} is {known[same]!r}" if isinstance(each, (str, os.PathLike)) else "one model is"
            # They would not differ, and by how much they do is what a model's distance is measured against.
            raise UnlearningError(f"reference model {shown} once more; expected models of different seeds")
        known[same] = each
    if batch_size < 1:
        raise UnlearningError(f"batch_size is {batch_size}; expected at least 1")
    if max_retain_samples < 0:
        raise UnlearningError(f"max_retain_samples is {max_retain_samples}; expected 0 (all) or more")
    if not 0 <= seed < 2**32:
        raise UnlearningError(f"seed is {seed}; expected 0 to {2**32 - 1}")
