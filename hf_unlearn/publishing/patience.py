"""Limits to patience with the Hub: how long a silent one is waited for, and how often it is asked again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import huggingface_hub
from huggingface_hub.utils import _http

from hf_unlearn.models.hub import silence_of

# A server that takes a commit of many large files may think for a while.
SECONDS = 180.0
TRIES = 3

Answer = TypeVar("Answer")


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


def tried(call: Callable[[], Answer], meanwhile: Callable[[], Answer | None] = lambda: None) -> Answer:
    """The answer to a call to the Hub, asked a few times while there is none.

    Args:
        call: what is asked. What it raises is raised at once where it is an answer, as that there is no such
            repository; else after the last try.
        meanwhile: asked after each try without an answer: what it gives is the answer, if it is not None. What changes
            something on the Hub may have been done, and only its answer lost.
    """
    problem: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(2.0**attempt / 2)
        try:
            return call()
        except Exception as error:
            # Whatever the transport raises.
            problem = error
        found = meanwhile()
        if found is not None:
            return found
        if silence_of(problem) is None:
            break
    assert problem is not None
    raise problem
