"""Explicit indices: from a sequence or a file, checked to be integers, distinct and in range."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hf_unlearn.errors import UnlearningError, one_line

if TYPE_CHECKING:
    import numpy as np


def as_index_tuple(values: object) -> tuple[int, ...]:
    """The values as Python integers, in the order given.

    Raises:
        UnlearningError: if they are not a sequence, or one is not an integer (a float or a boolean is not),
            or one is given twice.
    """
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, Iterable):
        raise UnlearningError(f"forget indices must be a list of integers or the path of a file, not {values!r}")
    indices: dict[int, None] = {}
    for value in values:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise UnlearningError(f"forget index {value!r} is not an integer")
        index = operator.index(value)
        if index in indices:
            raise UnlearningError(f"forget index {index} is given more than once")
        indices[index] = None
    return tuple(indices)


def read_indices(path: str) -> tuple[int, ...]:
    """The indices in a .txt (one a line), .json (a list) or .npy (a one-dimensional integer array) file.

    Raises:
        UnlearningError: if the file is missing, cannot be read, is of another kind, or holds anything but
            distinct integers.
    """
    readers = {".txt": _read_txt, ".json": _read_json, ".npy": _read_npy}
    file = Path(path).expanduser()
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise UnlearningError(f"index file {path!r} has an unknown extension; there are: .txt, .json, .npy")
    if not file.is_file():
        raise UnlearningError(f"index file {path!r} does not exist")
    try:
        values = reader(file)
    except UnlearningError:
        raise
    except (OSError, ValueError, EOFError, RecursionError) as error:
        reason = one_line(error)
        raise UnlearningError(f"index file {path!r} cannot be read: {reason}") from error
    return as_index_tuple(values)


def check_range(indices: tuple[int, ...], size: int) -> np.ndarray:
    """The indices, sorted, as int64; an error names the first that is not in `range(size)`."""
    import numpy as np

    for index in indices:
        if not 0 <= index < size:
            raise UnlearningError(
                f"forget index {index} is out of range: the train split has {size} samples, 0 to {size - 1}"
            )
    return np.array(sorted(indices), dtype=np.int64)


def _read_txt(file: Path) -> list[int]:
    indices = []
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        text = line.strip()
        if not text:
            continue
        try:
            indices.append(int(text))
        except ValueError:
            raise UnlearningError(f"forget index {text[:40]!r} is not an integer") from None
    return indices


def _read_json(file: Path) -> list[object]:
    values = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(values, list):
        raise UnlearningError(f"index file {str(file)!r} does not hold a list")
    return values


def _read_npy(file: Path) -> np.ndarray:
    import numpy as np

    # Pickled arrays would run code from the file.
    values = np.load(file, allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iu":
        raise UnlearningError(f"index file {str(file)!r} does not hold a one-dimensional array of integers")
    return values
