"""Memory that a step frees and the next one needs again."""

from __future__ import annotations

import ctypes
import os
import sys

# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER, _GIB = -1, 2**30
_SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the C library keep memory that tensors on a CPU free, for as long as the process lives.

    For the owner of a process alone: the command `unlearn` calls it, the library never does.

    As it comes, glibc gives the memory of every large tensor back to the system and asks for it again, page by page: a
    tenth of a step of MU-Mis, whose graph is thrice as large as that of cross-entropy. What the process takes at most
    grows by a few percent. Nothing is done with another C library, or where one of the environment's variables for
    this is set.

    Returns:
        Whether it was done.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in _SET_BY_USER):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _GIB)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
