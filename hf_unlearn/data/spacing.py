"""Some rows in the place of all."""

from __future__ import annotations

import numpy as np


def evenly_spaced(size: int, most: int) -> np.ndarray:
    """At most `most` of the rows 0 to `size` - 1, evenly spaced, the first and the last among them: `(n,)` int64."""
    return np.linspace(0, size - 1, min(size, most)).round().astype(np.int64)
