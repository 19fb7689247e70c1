"""The library's errors: one line each, naming the value, what was expected and what there is."""

from __future__ import annotations

import difflib
import functools
import logging
import os
import re
import textwrap
import unicodedata
from collections.abc import Iterable


class UnlearningError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says why.

    The command line prints the message and exits with status 2, without a traceback.
    """


class DivergenceError(UnlearningError):
    """Unlearning failed (it ran away, led the wrong way, or broke the model); the original weights were put back."""


def there_are(names: Iterable[object], limit: int = 12) -> str:
    """`'a', 'b', 'c'` and a count of what was left out, for the end of an error message."""
    listed = [repr(str(name)) for name in names]
    if not listed:
        return "none"
    rest = len(listed) - limit
    return ", ".join(listed[:limit]) + (f" and {rest} more" if rest > 0 else "")


def did_you_mean(name: object, names: Iterable[object]) -> str:
    """The end of a message about an unknown name: the nearest names, or those there are.

    A name that lists several, as "tench, Tinca tinca" does, is near to each of them.
    """
    known = [str(there) for there in names]
    by_folded: dict[str, str] = {}
    for there in known:
        by_folded[there.casefold()] = there
    for there in known:
        for part in there.split(","):
            by_folded.setdefault(part.strip().casefold(), there)
    near = difflib.get_close_matches(str(name).casefold(), list(by_folded), n=3, cutoff=0.6)
    if near:
        found = dict.fromkeys(by_folded[folded] for folded in near)
        return f"did you mean {' or '.join(map(repr, found))}?"
    return f"there are: {there_are(known)}"


def one_line(error: BaseException, limit: int = 300) -> str:
    """What another library's error says, on one line of at most `limit` characters; its type where it says nothing."""
    # Where an object lies in memory says nothing to anybody: "<_io.BytesIO object at 0x7f...>".
    said = re.sub(r"\s*<[^<>]* at 0x[0-9a-fA-F]+>", "", str(error))
    return textwrap.shorten(said, limit, placeholder=" ...") or type(error).__name__


def printable(text: str) -> str:
    """A text of anybody's on one line: without controls, halves of characters and marks that turn the direction."""
    return "".join(" " if unseen(char) else "" if ord(char) in _TURNS else char for char in text)


def unseen(char: str) -> bool:
    """Whether a character is a line break, a control, or half of one."""
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


# Marks by which a text runs from right to left: one can make another word of a name.
_TURNS = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


class PublishingError(UnlearningError):
    """The Hub did not take a model, or not whole. What lies on the disk is whole, and can be pushed again."""


@functools.lru_cache(maxsize=1024)
def warn_once(message: str) -> None:
    """Say on the log of the library what is no error but should be known; the same line once, in the first process."""
    if os.environ.get("RANK", "0") != "0":
        return
    logging.getLogger("hf_unlearn").warning(message)
