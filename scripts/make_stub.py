"""Write `hf_unlearn/__init__.pyi`, the list of public names, from the registry of methods.

    python scripts/make_stub.py

It is what `hf_unlearn/__init__.py` imports from lazily, and what type checkers and editors read.
"""

from __future__ import annotations

from pathlib import Path

from hf_unlearn.trainers.registry import METHODS

STUB = Path(__file__).resolve().parent.parent / "hf_unlearn" / "__init__.pyi"
# Public names by module, beside the methods'.
HOMES = {
    "errors": ("DivergenceError", "PublishingError", "UnlearningError"),
    "models.pretrained": ("load_image_classifier", "load_image_processor"),
    "publishing.push": ("push_folder",),
    "evaluation.answers": ("predict_labels",),
    "request": ("ForgetRequest", "UnlearningSplits", "forget_splits", "load_image_dataset", "make_splits"),
    "trainers.base.config": ("UnlearningConfig",),
    "trainers.base.trainer": ("UnlearningTrainer",),
}


def stub() -> str:
    """The text of the stub."""
    homes = {**HOMES}
    for method in METHODS.values():
        homes[method.module.removeprefix("hf_unlearn.")] = (method.config, method.trainer)
    lines = ["# Written by scripts/make_stub.py.", ""]
    for module in sorted(homes):
        lines += [f"from .{module} import {name} as {name}" for name in sorted(homes[module])]
    names = sorted(name for found in homes.values() for name in found)
    lines += ["", "__version__: str", "__all__ = [", *(f'    "{name}",' for name in names), "]"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
