"""Something that takes time, in a thread of its own: watched, cancelled, and its errors one line."""

from __future__ import annotations

import logging
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from hf_unlearn.commands.main import mendable
from hf_unlearn.commands.terminal import seconds_as_text
from hf_unlearn.errors import UnlearningError, one_line

# Runs set the process's random state, and use all of its cores: they take turns, over all tabs.
_TURN = threading.Lock()
_WAITING: set[Work] = set()
_DOOR = threading.Lock()
_TICK = 0.25
# From the root, the home or a drive on; in quotes with its spaces. After a letter a stroke begins no path: and/or.
_ROOT = r"(?:/|~[\w.-]*/|[A-Za-z]:[\\/])"
_PATH = re.compile(rf"""(?P<quote>['"]){_ROOT}.*?(?P=quote)|(?<!\w){_ROOT}[^\s'"<>,;)]+""")


class Cancelled(Exception):
    """Whoever asked for it does not want it any more."""


class TooLong(Cancelled):
    """It takes more time than there is for one job."""


class Work:
    """A job in a thread.

    Args:
        job: what is to be done; it is given this, to say how far it is and to ask whether to go on.
        most_seconds: for so long, once it is its turn; None: as long as it takes.
        is_public: strangers read what is said: see [`error_line`].

    Attributes:
        shown: the latest that the job said of itself; whatever the page knows how to show.
        result: what it returned, once it is done.
        error: why it failed, on one line, if it did.
        warnings: what the library's log warned of meanwhile.
        cancelled: whether it was cancelled, and heeded it.
        ended: when it did, by `time.monotonic`.
    """

    def __init__(self, job: Callable[[Work], Any], most_seconds: float | None = None, is_public: bool = False):
        self._job, self._most_seconds, self._is_public = job, most_seconds, is_public
        self._until: float | None = None
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.shown: Any = None
        self.result: Any = None
        self.error: str | None = None
        self.cancelled = False
        self.ended: float | None = None
        self.waits = True
        self.warnings: list[str] = []

    def start(self, most_waiting: int | None = None, give_way: Callable[[], None] | None = None) -> Work:
        """Begin, once it is its turn.

        Args:
            most_waiting: other jobs that may wait for their turn already; None: any number.
            give_way: called once it is not refused, and before the job is.

        Raises:
            UnlearningError: more do.
        """
        with _DOOR:
            if most_waiting is not None and len(_WAITING) >= most_waiting:
                raise UnlearningError(
                    f"{len(_WAITING)} runs wait for their turn already; expected to try again in some minutes"
                )
            _WAITING.add(self)
        if give_way is not None:
            give_way()
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ask the job to end. It does at its next [`check`]."""
        self._cancel.set()

    @property
    def is_asked_to_end(self) -> bool:
        """Whether [`cancel`] was called."""
        return self._cancel.is_set()

    @property
    def is_going_on(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread.is_alive()

    def check(self) -> None:
        """For the job: end here if it was cancelled, or took too long."""
        if self._cancel.is_set():
            raise Cancelled
        if self._until is not None and time.monotonic() > self._until:
            most = seconds_as_text(self._most_seconds or 0.0)
            raise TooLong(f"this took longer than {most}, which is the most here; nothing was kept")

    def say(self, shown: Any) -> None:
        """For the job: what the page is to show of it; ends it if it was cancelled."""
        self.check()
        self.shown = shown

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(seconds)
        return not self.is_going_on

    def watched(self) -> Iterator[Any]:
        """What it says of itself, when it changes, until it has ended."""
        before: Any = self
        while self.is_going_on:
            now = (self.waits, self.shown, self.is_asked_to_end)
            if now != before:
                before = now
                yield self.shown
            time.sleep(_TICK)

    def _run(self) -> None:
        try:
            if self._waited():
                self._do()
            else:
                self.cancelled = True
        finally:
            self.ended = time.monotonic()

    def _do(self) -> None:
        try:
            if self._most_seconds is not None:
                self._until = time.monotonic() + self._most_seconds
            with _Warnings(self.warnings, self._is_public):
                self.check()
                self.result = self._job(self)
        except TooLong as error:
            self.error = str(error)
        except Cancelled:
            self.cancelled = True
        except Exception as error:
            self.error = error_line(error, self._is_public)
        finally:
            _TURN.release()

    def _waited(self) -> bool:
        """Wait for the turn; whether it came before a cancel did."""
        try:
            while not _TURN.acquire(timeout=_TICK):
                if self._cancel.is_set():
                    return False
            return True
        finally:
            self.waits = False
            _WAITING.discard(self)


def error_line(error: Exception, is_public: bool = False) -> str:
    """What the page says of an error: one line, and never where in the code it was.

    Args:
        is_public: strangers read it. What other libraries and the system say may be anything of this machine: they are
            told its type alone, and no path.
    """
    line = mendable(error)
    if line is not None and isinstance(error, UnlearningError):
        return without_paths(line) if is_public else line
    if line is None or is_public:
        # Not the reader's to mend; where it happened is for whoever started the page.
        traceback.print_exception(error)
        said = type(error).__name__ if is_public else f"{type(error).__name__}: {one_line(error)}"
        line = f"this should not have happened ({said})"
    return line


def without_paths(text: str) -> str:
    """A line that may name folders and files by their whole path, with … in the place of each."""
    return _PATH.sub(r"\g<quote>…\g<quote>", text)


class _Warnings(logging.Handler):
    """Takes what the library's log warns of in this thread."""

    def __init__(self, taken: list[str], is_public: bool):
        super().__init__(logging.WARNING)
        self._taken, self._is_public = taken, is_public
        self._own = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._own:
            line = " ".join(record.getMessage().split())
            self._taken.append(without_paths(line) if self._is_public else line)

    def __enter__(self) -> _Warnings:
        logging.getLogger("hf_unlearn").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("hf_unlearn").removeHandler(self)
