"""Whether the Hub answers, and what serves where it does not: what was loaded before, from the cache."""

from __future__ import annotations

import logging

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from hf_unlearn.errors import one_line

logger = logging.getLogger(__name__)

# Of errors below 500: a proxy that wants a login, a request that took too long, too many requests.
_NO_ANSWER = (407, 408, 429)
_fault: str | None = None


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
