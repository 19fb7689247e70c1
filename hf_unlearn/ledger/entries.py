"""A file that is only ever added to: one entry a line, each with the digest of the one before."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import LEDGER_NAME
from hf_unlearn.request.fingerprint import canonical_json

# What the first entry follows.
NOTHING = "0" * 64
_FIELDS = {"number", "time", "operator", "kind", "what", "salt", "previous", "digest"}
_WAIT_SECONDS = 60.0


class Ledger:
    """The ledger of a folder.

    An entry is a line of JSON: `number`, `time` (UTC), `operator`, `kind`, `what` (by kind), `salt` (random, so that
    its digest tells nothing of it), `previous` (the digest of the entry before) and `digest` (sha256 of the canonical
    JSON of all the rest, in hexadecimal). Whoever can write the file can write it anew as a whole: that it is the same
    is told by a digest that is kept elsewhere, as a signed certificate keeps one.

    Args:
        folder: made, with the file, by the first entry; nobody else may read the file (mode 0600).
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.path = self.folder / LEDGER_NAME

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While this is open nobody else adds to the ledger.

        Raises:
            UnlearningError: somebody else holds it for a minute, or the folder cannot be made.
        """
        with _holding(
            self.folder, f"{self.path}.lock", _WAIT_SECONDS, f"{str(self.path)!r} is held by another process"
        ):
            yield

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While this is open nobody else runs requests of this ledger; they may be added and cancelled.

        Raises:
            UnlearningError: somebody else does.
        """
        said = f"another process runs the requests of {str(self.folder)!r}; expected one at a time"
        with _holding(self.folder, str(self.folder / ".run.lock"), 0.0, said):
            yield

    def exists(self) -> bool:
        """Whether there is one: a file with a whole line. A first writer that was killed leaves less."""
        return self.path.is_file() and b"\n" in self.path.read_bytes()

    def read(self) -> list[dict[str, Any]]:
        """The entries, in order. What a writer that was killed left of a last one is none.

        Raises:
            UnlearningError: there is no ledger, or its chain is broken; the message says at which line.
        """
        return self._read()[0]

    def append(self, kind: str, what: Mapping[str, Any], operator: str) -> dict[str, Any]:
        """Add an entry, on the disk when this returns; call it under [`locked`].

        Raises:
            UnlearningError: the chain is broken.
            OSError: it cannot be written.
        """
        entries, whole = self._read() if self.path.is_file() else ([], 0)
        entry = {
            "number": len(entries) + 1,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "operator": operator,
            "kind": kind,
            "what": dict(what),
            "salt": secrets.token_hex(32),
            "previous": entries[-1]["digest"] if entries else NOTHING,
        }
        entry["digest"] = _digest(entry)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # What was left of an entry that was never whole.
            os.ftruncate(file, whole)
            os.lseek(file, whole, os.SEEK_SET)
            _write_all(file, (canonical_json(entry) + "\n").encode())
            os.fsync(file)
        finally:
            os.close(file)
        if len(entries) == 0:
            _keep_name(self.folder)
        return entry

    def _read(self) -> tuple[list[dict[str, Any]], int]:
        """The entries, and how many bytes they take."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError as error:
            raise UnlearningError(
                f"folder {str(self.folder)!r} holds no {LEDGER_NAME}; expected one that hf-unlearn requests add made"
            ) from error
        whole = content.rfind(b"\n") + 1
        entries: list[dict[str, Any]] = []
        for number, line in enumerate(content[:whole].split(b"\n")[:-1], start=1):
            entry = _entry(line)
            wrong = None
            if entry is None:
                wrong = "it is no entry as hf-unlearn writes them"
            elif entry["digest"] != _digest(entry):
                wrong = "its digest is not that of what it says"
            elif entry["previous"] != (entries[-1]["digest"] if entries else NOTHING) or entry["number"] != number:
                wrong = "it does not follow the line before"
            if wrong is not None:
                raise UnlearningError(f"the chain of {str(self.path)!r} is broken at line {number}: {wrong}")
            assert entry is not None
            entries.append(entry)
        # A writer that is killed leaves the beginning of a line, never a whole one with something after it.
        if _entry(content[whole:-1]) is not None:
            raise UnlearningError(
                f"the chain of {str(self.path)!r} is broken at line {len(entries) + 1}: it has no end"
            )
        return entries, whole


@contextlib.contextmanager
def _holding(folder: Path, path: str, seconds: float, otherwise: str) -> Iterator[None]:
    lock = FileLock(path, timeout=seconds, mode=0o600)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UnlearningError(otherwise) from error
    except OSError as error:
        raise UnlearningError(f"{path!r} cannot be written: {error.strerror or error}") from error
    # The system lets go of it for a process that is killed.
    try:
        yield
    finally:
        lock.release()


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]


def _keep_name(folder: Path) -> None:
    """Have a new file's name on the disk, too."""
    # Not every system opens folders.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line as an entry; None where it is none, or not written as one is."""
    try:
        entry = json.loads(line)
        written = canonical_json(entry).encode() == line
    except (ValueError, RecursionError):
        return None
    return entry if written and isinstance(entry, dict) and entry.keys() == _FIELDS else None


def _digest(entry: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in entry.items() if name != "digest"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()
