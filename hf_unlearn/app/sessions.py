"""The sessions of the tabs that are open."""

from __future__ import annotations

import threading
import time
from typing import Any

from hf_unlearn.app.options import Options
from hf_unlearn.app.session import Session
from hf_unlearn.errors import UnlearningError


class Sessions:
    """The sessions of the tabs that are open, by the name that Gradio gives each (`request.session_hash`)."""

    def __init__(self, options: Options):
        self._options = options
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, request: Any) -> Session:
        """The tab's session; a new one for a new tab.

        Raises:
            UnlearningError: there are as many as may be, and none of them was left alone.
        """
        name, left_alone = str(request.session_hash), None
        with self._lock:
            session = self._open.get(name)
            if session is None:
                left_alone = self._make_room()
                session = self._open[name] = Session(self._options)
            session.used = time.monotonic()
        if left_alone is not None:
            left_alone.close()
        return session

    def __len__(self) -> int:
        return len(self._open)

    def folders(self) -> list[str]:
        """Where their uploads and copies lie."""
        with self._lock:
            return [each.folder for each in self._open.values()]

    def close(self, request: Any) -> None:
        """The tab was closed or loaded anew."""
        with self._lock:
            session = self._open.pop(str(request.session_hash), None)
        # Its run may take a while to end: nobody else waits for that.
        if session is not None:
            session.close()

    def close_all(self) -> None:
        """The page is shut down."""
        while True:
            with self._lock:
                if not self._open:
                    return
                _, session = self._open.popitem()
            session.close()

    def _make_room(self) -> Session | None:
        """Take out the session that was left alone for longest, if there are too many."""
        limits = self._options.limits
        if limits.sessions is None or len(self._open) < limits.sessions:
            return None
        before = time.monotonic() - limits.idle
        idle = {name: each.idle_since for name, each in self._open.items() if not each.is_busy}
        alone = {name: since for name, since in idle.items() if since <= before}
        if not alone:
            raise UnlearningError(
                f"{len(self._open)} visitors are here, as many as there is room for; expected to come again later"
            )
        return self._open.pop(min(alone, key=lambda name: alone[name]))
