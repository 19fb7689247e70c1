"""Whether the Hub answers, and what serves where it does not: what was loaded before, from the cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from hf_unlearn.errors import one_line

logger = logging.getLogger(__name__)

# Of errors below 500: a proxy that wants a login, a request that took too long, too many requests.
_NO_ANSWER = (407, 408, 429)
_fault: str | None = None
TRIES = 3

Answer = TypeVar("Answer")


def silence_of(error: BaseException) -> str | None:
    """Why the Hub did not answer, in one line; None where `error` is an answer, as that there is no such repository."""
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", None)
        if status is None or status >= 500 or status in _NO_ANSWER:
            return f"it answers with status {status}"
        return None
    if isinstance(error, (HFValidationError, OfflineModeIsEnabled)):
        return None
    if isinstance(error, (ValueError, KeyError, TypeError, AttributeError)):
        return "what answers is not the Hub (the login page of a network?)"
    return one_line(error, 150)


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


def go_on_without_hub(why: str) -> None:
    """Ask the Hub no more, as with HF_HUB_OFFLINE: else it is asked several times for each file before the cache is."""
    import datasets

    global _fault
    _fault = why
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    datasets.config.HF_HUB_OFFLINE = True
    logger.debug("the Hub cannot be reached: %s", why)


def hub_fault() -> str | None:
    """Why the Hub cannot be reached, if it was found so; None where it answers, or is switched off (HF_HUB_OFFLINE)."""
    return _fault
