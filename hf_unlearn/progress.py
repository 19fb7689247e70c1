"""Progress bars of other libraries: where somebody watches, and nowhere else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_unless_terminal() -> Iterator[None]:
    """Hide the bars of `datasets`, the Hub and, if loaded, `transformers`, unless the error output is a terminal."""
    import datasets
    import huggingface_hub.utils as hub

    before = [library.enable_progress_bars for library in (datasets, hub) if not library.are_progress_bars_disabled()]
    of_models = sys.modules.get("transformers.utils.logging")
    if of_models is not None and of_models.is_progress_bar_enabled():
        # It speaks for the Hub, too, whose own state comes after it.
        of_hub = hub.disable_progress_bars if hub.are_progress_bars_disabled() else hub.enable_progress_bars
        before = [of_models.enable_progress_bar, of_hub, *before]
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
        hub.disable_progress_bars()
        if of_models is not None:
            of_models.disable_progress_bar()
    try:
        yield
    finally:
        for restore in before:
            restore()
