"""The folder that a command writes to: whether it may, and that nothing empty is left there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hf_unlearn.errors import UnlearningError


def check_output_dir(output_dir: str | None, overwrite: bool, checkpoint: str | None = None) -> str:
    """The output folder, if it may be written to.

    Args:
        checkpoint: the run goes on from there; the folder that holds it is not empty, of course.

    Raises:
        UnlearningError: none was named, it is or lies below a file, or it is not empty and may not be overwritten.
    """
    if not output_dir:
        raise UnlearningError("--output_dir is missing; expected the folder to write to")
    path = Path(output_dir).absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir():
        raise UnlearningError(f"output_dir {output_dir!r} is, or lies in, a file; expected a folder")
    if not os.access(existing, os.W_OK):
        raise UnlearningError(f"output_dir {output_dir!r} cannot be written to")
    goes_on = checkpoint is not None and path in Path(checkpoint).absolute().parents
    if path.is_dir() and os.listdir(path) and not (overwrite or goes_on):
        raise UnlearningError(
            f"output_dir {output_dir!r} is not empty; expected a new folder, or --overwrite_output_dir"
        )
    return output_dir


@contextlib.contextmanager
def no_empty_folder(output_dir: str) -> Iterator[None]:
    """If what is done here fails and leaves an empty folder that was not there before, remove it."""
    before = os.path.isdir(output_dir)
    try:
        yield
    except (UnlearningError, KeyboardInterrupt):
        if not before:
            # Another process may have been first; a checkpoint in it is kept.
            with contextlib.suppress(OSError):
                os.rmdir(output_dir)
        raise
