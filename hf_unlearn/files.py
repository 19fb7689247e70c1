"""Files that the library leaves: how they are written, and their names where more than one room knows them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from hf_unlearn.errors import UnlearningError

# The record of a run, as it is published.
RECORD_NAME = "unlearning.json"
# What a run is, for whoever resumes it; it stays here.
RUN_NAME = "unlearning_run.json"
RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
# What `Trainer.save_metrics` writes.
TRAIN_RESULTS_NAME = "train_results.json"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """Where to write what is to be the file at `path`: it gets that name once it is whole, and is removed otherwise."""
    # Whoever writes the same file at the same time, on this machine or another, has a part file of its own.
    part = f"{os.fspath(path)}.{uuid4().hex}.part"
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def write_text(text: str, path: str | os.PathLike) -> None:
    """Write a text, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as part:
        # Names of folders may hold what no encoding has.
        Path(part).write_text(text, encoding="utf-8", errors="replace")


def write_json(values: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write `values` as JSON, whole or not at all.

    Raises:
        OSError: it cannot be written.
        ValueError: a number is not finite, which JSON cannot say.
    """
    write_text(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def expand_user(path: str | os.PathLike) -> str:
    """A path with `~` as the home folder that it stands for: a shell leaves it as it is in `--flag=~/x`.

    Raises:
        UnlearningError: there is no such user.
    """
    given = os.fspath(path)
    expanded = os.path.expanduser(given)
    if expanded.startswith("~"):
        user = expanded.partition("/")[0]
        raise UnlearningError(f"{given!r} is below the home folder of {user[1:]!r}, and there is no such user here")
    return expanded
