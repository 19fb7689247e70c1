"""The parts of README.md that scripts write: between two marks, made anew from committed results."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def marks(name: str, script: str) -> tuple[str, str]:
    """The lines around the part called `name`, which `script` writes."""
    return f"<!-- {name}: begin, by scripts/{script} -->", f"<!-- {name}: end -->"


def rendered(text: str, around: tuple[str, str], body: str) -> str:
    """`text` with what stands between the marks replaced by `body`; as it is if the marks are not there."""
    before, found, rest = text.partition(around[0])
    _, _, after = rest.partition(around[1])
    return f"{before}{around[0]}\n{body}\n{around[1]}{after}" if found else text


def write(around: tuple[str, str], body: str) -> None:
    """Put `body` between the marks of README.md."""
    README.write_text(rendered(README.read_text(encoding="utf-8"), around, body), encoding="utf-8")
