"""Write what follows from the code: the list of public names, and the tables of methods and of figures in docs/.

    python scripts/make_stub.py

`hf_unlearn/__init__.pyi` is what `hf_unlearn/__init__.py` imports from lazily, and what type checkers and editors read.
"""

from __future__ import annotations

from pathlib import Path

from hf_unlearn.trainers.registry import METHODS

STUB = Path(__file__).resolve().parent.parent / "hf_unlearn" / "__init__.pyi"
# Public names by module, beside the methods'.
HOMES = {
    "errors": ("DivergenceError", "PublishingError", "UnlearningError"),
    "ensembles.audit": ("audit",),
    "evaluation.comparison": ("compare",),
    "models.pretrained": ("load_image_classifier", "load_image_processor"),
    "publishing.card": ("record_evaluation",),
    "publishing.push": ("push_folder",),
    "evaluation.answers": ("predict_labels",),
    "request": (
        "ForgetRequest",
        "UnlearningSplits",
        "forget_splits",
        "load_image_dataset",
        "make_splits",
        "stream_splits",
    ),
    "trainers.base.config": ("PassesConfig", "UnlearningConfig"),
    "trainers.base.method": ("UnlearningMethod",),
    "trainers.base.paper": ("cite",),
    "trainers.base.settings": ("setting",),
    "trainers.base.trainer": ("UnlearningTrainer",),
    "trainers.by_memorisation": ("unlearn_by_memorisation",),
    "trainers.head_only": ("unlearn_head_only",),
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


def methods_table() -> str:
    """The methods in the registry's order: flag, trainer, what it needs, paper."""
    import hf_unlearn

    lines = ["| `--method` | trainer | name | needs retain data | paper |", "|---|---|---|---|---|"]
    for name, method in METHODS.items():
        trainer = getattr(hf_unlearn, method.trainer)
        paper = trainer.paper["id"]
        link = f"[{paper}](https://huggingface.co/papers/{paper})" if paper else "–"
        needs = "no" if method.retain_free else "yes"
        lines.append(f"| `{name}` | `{method.trainer}` | {trainer.title} | {needs} | {link} |")
    return "\n".join(lines)


def figures_table() -> str:
    """What the rows of a comparison are called, which way is good, and what they mean."""
    from hf_unlearn.evaluation.report.rows import ARROWS, ROWS

    lines = ["| row | | target | meaning |", "|---|---|---|---|"]
    for group in dict.fromkeys(row.group for row in ROWS):
        lines.append(f"| **{group}** | | | |")
        for row in ROWS:
            if row.group == group:
                ideal = "" if row.ideal is None else f"{row.ideal:g}"
                cells = (row.title, ARROWS[row.good], ideal, row.meaning)
                # A bar would end the cell.
                lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def main() -> None:
    from page_parts import FIGURES_PART, METHODS_PART

    STUB.write_text(stub(), encoding="utf-8")
    METHODS_PART.write(methods_table())
    FIGURES_PART.write(figures_table())


if __name__ == "__main__":
    main()
