"""What to forget, and the forget, retain and test splits made from it.

Names are imported on first use, so that `import hf_unlearn.request` does not load `datasets`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_unlearn.request.columns import find_image_column, find_label_column
    from hf_unlearn.request.fingerprint import Fingerprint, content_fingerprint
    from hf_unlearn.request.forget_request import KINDS, ForgetRequest, parse_where
    from hf_unlearn.request.forget_set import forget_splits
    from hf_unlearn.request.images import verify_images
    from hf_unlearn.request.labels import label_array, label_names
    from hf_unlearn.request.loading import load_image_dataset
    from hf_unlearn.request.matching import match_labels
    from hf_unlearn.request.splits import UnlearningSplits, make_splits
    from hf_unlearn.request.streaming import stream_splits

_MODULES = {
    "columns": ["find_image_column", "find_label_column"],
    "fingerprint": ["Fingerprint", "content_fingerprint"],
    "forget_request": ["KINDS", "ForgetRequest", "parse_where"],
    "forget_set": ["forget_splits"],
    "images": ["verify_images"],
    "labels": ["label_array", "label_names"],
    "loading": ["load_image_dataset"],
    "matching": ["match_labels"],
    "splits": ["UnlearningSplits", "make_splits"],
    "streaming": ["stream_splits"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "KINDS",
    "Fingerprint",
    "ForgetRequest",
    "UnlearningSplits",
    "content_fingerprint",
    "find_image_column",
    "find_label_column",
    "forget_splits",
    "label_array",
    "label_names",
    "load_image_dataset",
    "make_splits",
    "match_labels",
    "parse_where",
    "stream_splits",
    "verify_images",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
