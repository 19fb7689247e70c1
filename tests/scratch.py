"""Folders that go with the process that made them. It imports nothing heavy: `conftest.py` needs it first."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile


def own_folder() -> str:
    """A folder that is removed when this process ends, and not when one ends that was forked from it."""
    folder, owner = tempfile.mkdtemp(prefix="hf-unlearn-tests-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
