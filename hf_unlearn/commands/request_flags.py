"""From flags to a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_unlearn.commands.arguments import RequestArguments
from hf_unlearn.errors import UnlearningError
from hf_unlearn.request import ForgetRequest, parse_where

REQUEST_FLAGS = (
    "--forget_classes",
    "--forget_subclasses",
    "--forget_fraction",
    "--forget_count",
    "--forget_indices",
    "--forget_where",
    "--forget_dataset_config",
    "--forget_split",
)


def make_request(flags: RequestArguments) -> ForgetRequest:
    """The request that the flags name.

    Raises:
        UnlearningError: none, or two kinds at once, or a value out of range.
    """
    if not has_request(flags):
        raise UnlearningError("nothing to forget was named; expected one of " + ", ".join(REQUEST_FLAGS))
    indices: Any = None
    if flags.forget_indices is not None:
        indices = _indices(flags.forget_indices)
    return ForgetRequest(
        classes=tuple(flags.forget_classes or ()),
        subclasses=tuple(flags.forget_subclasses or ()),
        subclass_column=flags.subclass_column,
        fraction=flags.forget_fraction,
        count=flags.forget_count,
        stratify=flags.forget_stratify,
        seed=flags.forget_seed,
        indices=indices,
        where=parse_where(flags.forget_where or []),
        dataset_config=flags.forget_dataset_config,
        split=flags.forget_split,
    )


def has_request(flags: RequestArguments) -> bool:
    """Whether any kind of request was named."""
    return any(vars(flags)[name.lstrip("-")] is not None for name in REQUEST_FLAGS)


def _indices(words: Sequence[str]) -> tuple[int, ...] | str:
    if len(words) == 1 and not _is_integer(words[0]):
        if "." not in words[0] or words[0].replace(".", "", 1).isdigit():
            raise UnlearningError(f"forget index {words[0]!r} is not an integer, nor a .txt, .json or .npy file")
        return words[0]
    for word in words:
        if not _is_integer(word):
            raise UnlearningError(f"forget index {word!r} is not an integer; expected positions in the train split")
    return tuple(int(word) for word in words)


def _is_integer(word: str) -> bool:
    return word.removeprefix("-").isdecimal()
