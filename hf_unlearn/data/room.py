"""Where the pixels of a dataset can be kept."""

from __future__ import annotations

import math
import os
import shutil
import tempfile

import numpy as np
import torch

_GIB = 2**30


def room_for(shape: tuple[int, ...], memory_gib: float) -> torch.Tensor | None:
    """An empty float32 tensor of this shape, or None if there is no room for one.

    It is in memory up to so many GiB, else in a file without a name in the folder for temporary files, which is gone
    with the tensor.
    """
    size = 4 * math.prod(shape)
    if size <= memory_gib * _GIB:
        return torch.empty(shape)
    with tempfile.TemporaryFile() as file:
        if not _reserve(file.fileno(), size):
            return None
        # The map keeps the file, which has no name any more.
        return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="r+", shape=shape))


def _reserve(file: int, size: int) -> bool:
    """Give a file so many bytes of the disk, if it has them; writing into one that merely has the size can be fatal."""
    # Each of the processes on this machine keeps as much, and the disk is for other things, too.
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if size * processes > 0.9 * shutil.disk_usage(tempfile.gettempdir()).free:
        return False
    try:
        os.posix_fallocate(file, 0, size)
    # Not every system has it, nor every file system.
    except (OSError, AttributeError):
        return False
    return True
