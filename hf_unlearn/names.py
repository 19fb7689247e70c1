"""Names of models and datasets: whether one is the Hub's or of something here, and how much of it may be told.

Which of the two a name is depends on the working directory and on what lies there now. So it is asked once, when the
name is used to load something, and the answer is kept with what was loaded.
"""

from __future__ import annotations

import os

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def is_repo_id(name: str) -> bool:
    """Whether the Hub's own rule lets a repository be called so."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def is_hub_name(name: str) -> bool:
    """Whether a name is one on the Hub, not of a file or folder that is here now; the Hub is not asked."""
    return is_repo_id(name) and not os.path.exists(os.path.expanduser(name))


def public_name(name: str, from_hub: bool) -> str:
    """A name as it may be published: of what is not the Hub's the last part only, the rest is nobody's business."""
    return name if from_hub else os.path.basename(os.path.abspath(os.path.expanduser(name)))
