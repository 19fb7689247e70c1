"""What a person sees of a run: bars where somebody watches, and how things are said."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

# Signs that an encoding older than Unicode lacks, in part or all, and what stands for them.
_PLAIN = str.maketrans(
    {"↑": "^", "↓": "v", "→": ">", "–": "-", "−": "-", "±": "+-", "×": "x", "…": "...", "‖": "|", "²": "2"}
)


def plain_signs(text: str, encoding: str | None) -> str:
    """A text as it can be read in `encoding`: where that has no arrows, its signs are those of a typewriter."""
    try:
        "↑↓→".encode(encoding or "ascii")
        return text
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN)


@contextlib.contextmanager
def warnings_shown(command: str) -> Iterator[None]:
    """Inside, what the library's log warns of is a line on the error output, from the first process only."""

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if os.environ.get("RANK", "0") == "0":
                print(f"hf-unlearn {command}: warning: {' '.join(record.getMessage().split())}", file=sys.stderr)

    log, lines = logging.getLogger("hf_unlearn"), Lines(logging.WARNING)
    log.addHandler(lines)
    try:
        yield
    finally:
        log.removeHandler(lines)


def settle(args: TrainingArguments) -> None:
    """Fit a run's arguments to where it runs: no progress bars without a terminal, no pinned memory without a GPU."""
    if not sys.stderr.isatty():
        args.disable_tqdm = True
    if args.device.type != "cuda":
        args.dataloader_pin_memory = False


def quieten(trainer: Trainer) -> None:
    """A progress bar where somebody watches, and no line for every logged step anywhere."""
    from transformers import PrinterCallback, ProgressCallback

    class Bar(ProgressCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if self.training_bar is not None and logs and "loss" in logs:
                shown = {name: logs[name] for name in ("loss", "forget_accuracy") if name in logs}
                self.training_bar.set_postfix({name: f"{float(value):.3g}" for name, value in shown.items()})

    trainer.remove_callback(PrinterCallback)
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(Bar())


def seconds_as_text(seconds: float) -> str:
    """`75.3` as `1 min 15 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def loading_line(folder: str, repo_id: str | None = None) -> str:
    """How to load what is in `folder`, and at `repo_id` on the Hub, as a line to print."""
    if os.path.isfile(os.path.join(folder, "adapter_config.json")):
        return "  load    with peft, onto its base: its README.md says how"
    from hf_unlearn.models.own_code import code_files

    trust = ", trust_remote_code=True" if code_files(folder) else ""
    return f'  load    pipeline("image-classification", model="{repo_id or folder}"{trust})'
