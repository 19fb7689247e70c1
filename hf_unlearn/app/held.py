"""Folders that are gone once they are not needed: at once where the process ends well, else when the next one starts.

A process that is killed removes nothing. So each folder has a lock in it, which its process holds and the system lets
go of with it: what nobody holds may go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

from filelock import FileLock, Timeout

LOCK_NAME = ".lock"


class HeldFolder:
    """A new folder that nobody else may read, held until it is closed, or its process ended.

    Args:
        parent: where it is made; made itself if it is not there.
        prefix: of its name.

    Attributes:
        path: of the folder.
    """

    def __init__(self, parent: str, prefix: str = ""):
        self.path = _made(parent, prefix)
        # Whoever closes it need not be the thread that made it.
        self._lock = FileLock(os.path.join(self.path, LOCK_NAME), thread_local=False)
        self._lock.acquire()

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()
        # Where an open file cannot be removed it is still there.
        shutil.rmtree(self.path, ignore_errors=True)


def clear_left(parent: str, prefix: str = "") -> None:
    """Remove the folders that processes left which were killed. Those of processes that are at work stay.

    Args:
        parent, prefix: as [`HeldFolder`] was given them.
    """
    with contextlib.suppress(OSError), os.scandir(parent) as found:
        for each in found:
            # One that goes while it is looked at, or may not be, keeps none of the others.
            with contextlib.suppress(OSError):
                if each.name.startswith(prefix) and each.is_dir(follow_symlinks=False) and _is_ours(each):
                    _remove_unless_held(each.path)


def _remove_unless_held(path: str) -> None:
    place = os.path.join(path, LOCK_NAME)
    # Without a lock it is another's, or about to get one.
    if not os.path.isfile(place) or os.path.islink(place):
        return
    lock = FileLock(place, timeout=0, thread_local=False)
    with contextlib.suppress(Timeout, OSError):
        lock.acquire()
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            lock.release()
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """Whether this user made it: others may make what they like in a temporary folder that all share."""
    return not hasattr(os, "getuid") or entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _made(parent: str, prefix: str) -> str:
    while True:
        os.makedirs(parent, exist_ok=True)
        # Somebody else may just have removed the parent as empty.
        with contextlib.suppress(FileNotFoundError):
            return tempfile.mkdtemp(prefix=prefix, dir=parent)
