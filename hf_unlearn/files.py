"""Files that the library leaves: how they are written, and their names where more than one room knows them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from hf_unlearn.errors import UnlearningError

# The record of a run, as it is published.
RECORD_NAME = "unlearning.json"
# The model card, and the folder of its plots.
CARD_NAME = "README.md"
PLOTS = "plots"
# What a run is, for whoever resumes it; it stays here.
RUN_NAME = "unlearning_run.json"
RESULTS_NAME = "results.json"
REPORT_NAME = "report.html"
# What an audit of many models found.
AUDIT_NAME = "audit.json"
# What `Trainer.save_metrics` writes.
TRAIN_RESULTS_NAME = "train_results.json"
# What of the record may not be published; it stays here.
WITHHELD_NAME = "unlearning_withheld.json"
# By it whoever has the dataset can find a single person's samples: it stays here.
FORGET_SET_NAME = "forget_set.json"
# The requests of a folder, with what they name: it stays here.
LEDGER_NAME = "requests.jsonl"
# What shows what was done, for whoever asked for it; and what opens its commitment to the samples, which stays here.
CERTIFICATE_NAME = "certificate.json"
CERTIFICATE_PAGE = "certificate.html"
OPENING_NAME = "certificate_opening.json"
_ASIDE = ".saving-"
# What a clone of a repository of the Hub holds for each large file where Git LFS is not installed.
_POINTER = b"version https://git-lfs.github.com/spec/"
NOT_FETCHED = "is a pointer of Git LFS, not the file itself; expected what `git lfs pull` fetches in its place"


def is_pointer(file: str | os.PathLike | bytes) -> bool:
    """Whether a file, by its path or its content, only says where Git LFS has it."""
    if isinstance(file, bytes):
        return file.startswith(_POINTER)
    try:
        with open(file, "rb") as opened:
            return opened.read(len(_POINTER)) == _POINTER
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """Where to write what is to be the file at `path`: it gets that name once it is whole, and is removed otherwise."""
    # Whoever writes the same file at the same time, on this machine or another, has a part file of its own.
    part = f"{os.fspath(path)}.{uuid4().hex}.part"
    try:
        with _naming(path):
            yield part
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


@contextlib.contextmanager
def _naming(path: str | os.PathLike) -> Iterator[None]:
    """Name `path` in an error of the system that names no file: a full disk does not say which."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def replacing_files(folder: str | os.PathLike, stale: Callable[[str], bool] = lambda name: False) -> Iterator[str]:
    """A folder to write what is to be in `folder`: it is put there once all of it is whole, and is removed otherwise.

    Args:
        folder: made if it is not there; if nothing comes of it, it is removed again.
        stale: of a file that is there already, by its path below `folder`: whether it belongs to what was there before
            and goes. What is written anew takes the place of its predecessor anyway.

    Raises:
        OSError: something cannot be written, moved or removed.
    """
    target = Path(folder)
    made = not target.is_dir()
    target.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=target))
    try:
        with _naming(folder):
            yield str(aside)
        names = [path.relative_to(aside).as_posix() for path in aside.rglob("*") if path.is_file()]
        # Weights of one model beside the record of another would be neither.
        with uninterrupted():
            for path in [*target.glob("*"), *target.glob("*/*")]:
                name = path.relative_to(target).as_posix()
                if path.is_file() and name not in names and not name.startswith(_ASIDE) and stale(name):
                    path.unlink()
            # What makes the folder a model comes last.
            for name in sorted(names, key=lambda name: name.endswith("config.json")):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(aside / name, target / name)
        # Of runs that were killed.
        for path in target.glob(f"{_ASIDE}*"):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if made:
            # If it is empty.
            with contextlib.suppress(OSError):
                target.rmdir()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """While this is open, Ctrl-C and other signals that ask the process to end wait, and then do what they do."""
    if threading.current_thread() is not threading.main_thread():
        # Signals come to the main thread only, and nobody else may say what they do.
        yield
        return
    came: list[int] = []
    names = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in names}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: it was not set from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in came[:1]:
            signal.raise_signal(number)


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
