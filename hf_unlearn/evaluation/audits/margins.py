"""What every audit looks at: one number for each model and sample, and how many models it takes."""

from __future__ import annotations

import numpy as np
from scipy import special

from hf_unlearn.errors import UnlearningError

# Fewer models a side than this, and no audit says anything.
LEAST_MODELS = 8
# Margins beyond are taken for this: no audit hangs on how sure a model is that is sure.
MOST_MARGIN = 100.0


def margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """z_y − log Σ_{j≠y} exp z_j of each sample, which is log p_y − log(1 − p_y) as well.

    The margin of KLoM (arXiv 2410.23232, App. E.1) and the logit-scaled confidence of LiRA (arXiv 2112.03570) are this
    same number; from the logits it is exact where p_y is nearly 0 or 1.

    Args:
        logits: `(samples, num_labels)`.
        labels: columns of the true classes, `(samples,)`.

    Returns:
        `(samples,)` float64, within ±`MOST_MARGIN`.

    Raises:
        UnlearningError: a logit is NaN, or there is but one label.
    """
    values = np.asarray(logits, dtype=np.float64).copy()
    if values.ndim != 2 or values.shape[1] < 2:
        raise UnlearningError(f"logits have shape {values.shape}; expected (samples, labels) of at least two labels")
    if np.isnan(values).any():
        raise UnlearningError("logits hold NaN; expected numbers")
    rows = np.arange(len(values))
    own = values[rows, labels]
    values[rows, labels] = -np.inf
    # A logit that a mask put to minus infinity is one that loses by far.
    return np.clip(own - special.logsumexp(values, axis=1), -MOST_MARGIN, MOST_MARGIN)


def check_margins(unlearned: np.ndarray, retrained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Margins of unlearned and of retrained models, `(models, samples)` each, as float64 within ±`MOST_MARGIN`.

    Raises:
        UnlearningError: too few models, one side has more, other samples, or what is no number.
    """
    sides = {"unlearned": np.asarray(unlearned, np.float64), "retrained": np.asarray(retrained, np.float64)}
    for name, values in sides.items():
        if values.ndim != 2 or not values.shape[1]:
            raise UnlearningError(f"the {name} margins have shape {values.shape}; expected (models, samples)")
        if np.isnan(values).any():
            raise UnlearningError(f"the {name} margins hold NaN; expected numbers")
        check_count(len(values), f"{name} models")
    ours, theirs = sides.values()
    if ours.shape != theirs.shape:
        raise UnlearningError(
            f"there are {len(ours)} unlearned models of {ours.shape[1]} samples and {len(theirs)} retrained ones of "
            f"{theirs.shape[1]}; expected as many of both, and the same samples"
        )
    return np.clip(ours, -MOST_MARGIN, MOST_MARGIN), np.clip(theirs, -MOST_MARGIN, MOST_MARGIN)


def check_count(count: int, what: str) -> None:
    """Refuse fewer than `LEAST_MODELS`.

    Raises:
        UnlearningError: there are fewer.
    """
    if count < LEAST_MODELS:
        raise UnlearningError(f"there are {count} {what}; an audit takes at least {LEAST_MODELS}")
