"""Faults of the wire and of the server, to be met at a chosen call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .answers import Answer

FaultKind = Literal["500", "503", "429", "reset", "hang-up", "stall", "cut", "garbled", "answer-lost"]

# The Hub itself answers a 500 in JSON; a 503 comes from what stands before it, in HTML.
_STATUS = {
    "500": Answer.of_json({"error": "Internal Error - We're working hard to fix this as soon as possible!"}, 500),
    "503": Answer(503, b"<html><body>Service Unavailable</body></html>", {"Content-Type": "text/html"}),
    "429": Answer.of_json({"error": "Too Many Requests"}, 429),
}


@dataclass
class Fault:
    """What goes wrong, where, and how often.

    Args:
        kind: `"500"`, `"503"`, `"429"` (with Retry-After): the status, and the call is not carried out;
            `"reset"`: the connection is reset, the call not carried out; `"hang-up"`: the same, closed politely;
            `"stall"`: no answer for `seconds`, then the connection is reset, the call not carried out;
            `"cut"`: carried out, and the connection is closed after half of the answer's body (a download breaks off);
            `"answer-lost"`: carried out, and the connection is reset before any answer.
            `"garbled"`: carried out, and the first half of the answer's body is other bytes, as many;
        call: a kind of call (`"commit"`), or the number of a request, 0 being the next one.
        times: how many such calls meet it; with a number, this one and those right after it.
        after: how many such calls pass before the first that meets it.
        method: only calls by this HTTP method, such as `"HEAD"`.
        retry_after: seconds, the header of a 429.
        seconds: how long a `"stall"` lasts.
    """

    kind: FaultKind
    call: str | int
    times: int = 1
    after: int = 0
    method: str | None = None
    retry_after: int = 0
    seconds: float = 60.0

    def __post_init__(self) -> None:
        from .routes import KINDS

        if self.kind not in get_args(FaultKind):
            raise ValueError(f"kind is {self.kind!r}, not one of {', '.join(get_args(FaultKind))}")
        if isinstance(self.call, str) and self.call not in KINDS:
            raise ValueError(f"call is {self.call!r}, neither a number nor one of {', '.join(KINDS)}")
        self._to_pass = self.after + (self.call if isinstance(self.call, int) else 0)

    def meets(self, call: str, method: str) -> bool:
        """Whether a request of this kind meets the fault; to be asked once a request."""
        concerned = isinstance(self.call, int) or self.call == call
        if not concerned or self.times == 0 or self.method not in (None, method):
            return False
        if self._to_pass:
            self._to_pass -= 1
            return False
        self.times -= 1
        return True

    def answer(self) -> Answer | None:
        """The status that it answers with, if it does."""
        found = _STATUS.get(self.kind)
        if found is not None and self.kind == "429":
            return Answer(found.status, found.body, {**found.headers, "Retry-After": str(self.retry_after)})
        return found
