"""The folder that a command writes to: whether it may, and that nothing empty is left there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from hf_unlearn.commands.parsing import is_first_process
from hf_unlearn.errors import UnlearningError


def check_output_dir(
    output_dir: str | None,
    overwrite: bool,
    checkpoint: str | None = None,
    sources: Mapping[str, str | None] | None = None,
) -> str:
    """The output folder, if it may be written to.

    Args:
        checkpoint: the run goes on from there; the folder that holds it is not empty, of course.
        sources: what the run is made from, models and data, by what it is; the output folder is none of them.

    Raises:
        UnlearningError: none was named, it cannot be made or written to, it is or lies below a file, it is not empty
            and may not be overwritten, or it is one of `sources`.
    """
    if not output_dir:
        raise UnlearningError("--output_dir is missing; expected the folder to write to")
    for what, source in (sources or {}).items():
        if source and os.path.exists(source) and os.path.realpath(source) == os.path.realpath(output_dir):
            raise UnlearningError(f"output_dir {output_dir!r} is {what}; expected another folder")
    # Of several processes the others might see what the first one tries.
    if is_first_process():
        check_folder(output_dir, "output_dir")
        goes_on = checkpoint is not None and Path(output_dir).resolve() in Path(checkpoint).resolve().parents
        if os.path.isdir(output_dir) and os.listdir(output_dir) and not (overwrite or goes_on):
            from hf_unlearn.trainers.base.checkpoints import last_whole_checkpoint

            held = last_whole_checkpoint(output_dir) is not None
            why = "holds checkpoints of a run" if held else "is not empty"
            on = "--resume_from_checkpoint true to go on from the last, " if held else ""
            raise UnlearningError(
                f"output_dir {output_dir!r} {why}; expected {on}a new folder, or --overwrite_output_dir"
            )
    return output_dir


def check_folder(folder: str, flag: str) -> None:
    """Try whether a folder can be written to, and be made where there is none; nothing is left of the trial.

    Raises:
        UnlearningError: it cannot; the message names the `flag` that the folder was given by.
    """
    made = missing_folders(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise UnlearningError(f"{flag} {folder!r} is, or lies in, a file; expected a folder") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UnlearningError(f"{flag} {folder!r} cannot be written to: {why}") from error
    finally:
        remove_empty(made)


@contextlib.contextmanager
def no_empty_folder(output_dir: str) -> Iterator[None]:
    """If what is done here fails and leaves empty folders that were not there before, remove them."""
    before = missing_folders(output_dir)
    try:
        yield
    except BaseException:
        remove_empty(before)
        raise


def missing_folders(folder: str) -> list[Path]:
    """A folder and those above it that are not there, the innermost first."""
    path = Path(folder).absolute()
    return [each for each in (path, *path.parents) if not os.path.lexists(each)]


def remove_empty(folders: list[Path]) -> None:
    """Remove those of the folders that are empty, in this order."""
    for each in folders:
        # Another process may have been first, and what is not empty stays.
        with contextlib.suppress(OSError, ValueError):
            os.rmdir(each)
