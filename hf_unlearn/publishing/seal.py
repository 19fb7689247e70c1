"""A mark at the end of a card as it was pushed, by which a later push knows that nobody has changed it since."""

from __future__ import annotations

import hashlib
import re

_SEAL = re.compile(r"\n*<!-- card of hf-unlearn, sha256 ([0-9a-f]{64}) -->\s*\Z")


def sealed(text: str) -> str:
    """The text with its mark, which is not shown; one that it had already is replaced."""
    bare = _SEAL.sub("", text).rstrip()
    return f"{bare}\n\n<!-- card of hf-unlearn, sha256 {_digest(bare)} -->\n"


def is_sealed(text: str) -> bool:
    """Whether the text has such a mark, and is as it was when it got it."""
    text = text.replace("\r\n", "\n")
    found = _SEAL.search(text)
    return found is not None and found.group(1) == _digest(text[: found.start()].rstrip())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
