"""Work that threads do before it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(make: Callable[[Given], Made], given: Sequence[Given], threads: int) -> Iterator[tuple[Given, Made]]:
    """Each of `given` with what `make` makes of it, in order; while one is in use, the next `threads` are made."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(make, each) for each in given[:threads]]
        try:
            for position, each in enumerate(given):
                made = waiting.pop(0).result()
                if position + threads < len(given):
                    waiting.append(pool.submit(make, given[position + threads]))
                yield each, made
        finally:
            # If nobody wants the rest, or one cannot be made, what was not begun is not made any more.
            pool.shutdown(wait=False, cancel_futures=True)
