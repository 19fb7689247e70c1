"""How much of a disk visitors may fill together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Messages = Callable[..., Awaitable[Any]]


class Room:
    """Bytes that may lie in some folders: of what lies there, and of all that comes at once.

    For one event loop. What is on the way lies there already, but for what is not written yet.

    Args:
        folders: gives those that are counted.
        most: bytes.
    """

    def __init__(self, folders: Callable[[], Iterable[str]], most: int):
        self._folders, self._most = folders, most
        # When it was looked at last, and what came since then, by whichever request.
        self._lay = self._came = 0

    def is_full(self) -> bool:
        """Whether nothing more may come."""
        self._lay, self._came = bytes_in(self._folders()), 0
        return self._lay >= self._most

    def taken_by(self, receive: Messages) -> Messages:
        """A request's body as it comes, and its end where there is no room for more of it."""

        async def taken() -> Any:
            message = await receive()
            size = len(message.get("body", b""))
            if self._lay + self._came + size > self._most:
                return {"type": "http.disconnect"}
            self._came += size
            return message

        return taken


def bytes_in(folders: Iterable[str]) -> int:
    """Of all files in them. One that has several names there is counted once."""
    sizes = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                # Old files are removed meanwhile.
                with contextlib.suppress(OSError):
                    found = os.lstat(os.path.join(place, name))
                    sizes[found.st_dev, found.st_ino] = found.st_size
    return sum(sizes.values())
