"""A limit to how long a silent Hub is waited for: huggingface_hub itself waits for ever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import huggingface_hub
from huggingface_hub.utils import _http

# A server that takes a commit of many large files may think for a while.
SECONDS = 180.0


@contextlib.contextmanager
def patience(seconds: float | None = None) -> Iterator[None]:
    """While this is open, a call to the Hub on which nothing comes or goes for so many seconds is an error."""
    before = limit_waiting(SECONDS if seconds is None else seconds)
    try:
        yield
    finally:
        if before is not None:
            huggingface_hub.set_client_factory(before)


def limit_waiting(seconds: float = SECONDS) -> Callable[[], Any] | None:
    """From now on such a call is an error; returns what makes clients that wait, for whoever wants them back."""
    before = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)
    if before is None:
        # A release that keeps its clients elsewhere: it does as it does.
        return None

    def impatient() -> Any:
        client = before()
        client.timeout = seconds
        return client

    huggingface_hub.set_client_factory(impatient)
    return before
