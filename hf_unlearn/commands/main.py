"""`hf-unlearn COMMAND`: finds the command's module and turns its errors into one line and an exit status."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from hf_unlearn.commands.parsing import is_first_process
from hf_unlearn.commands.terminal import warnings_shown
from hf_unlearn.errors import DivergenceError, PublishingError, UnlearningError, did_you_mean, one_line

COMMANDS = {
    "unlearn": "make a model forget samples of its training set",
    "evaluate": "see how well a model forgot, against the original and a retrained one",
    "push": "publish an unlearned model on the Hub, with its card, and read it back",
    "card": "make an unlearned model's card anew",
    "suggest": "which method to take for a model and a request, with the results that it rests on",
    "requests": "requests over time: add, list, run and cancel them, on a ledger",
    "audit": "train many models, and see whether unlearned ones can be told from retrained ones",
    "certificate": "sign what was done to a model, without saying about whom",
    "verify-certificate": "check a certificate, the model and the samples that it is of",
    "train": "train an image classifier, on demand without a request's samples",
    "demo": "all of it on a small real dataset, in about two minutes",
    "app": "a page in the browser on which a model forgets (extra: app)",
}
# Where a command is that is not a module here: the room of the page lies above this one.
_HOMES = {"app": "hf_unlearn.app.command"}


def main(argv: Sequence[str] | None = None) -> int:
    """The `hf-unlearn` command.

    Its exit status: 0; 1 if unlearning diverged or the Hub failed; 2 for bad input; 128 and the signal's number where
    one ended it.
    """
    # What a terminal or a log file cannot show is no reason to fail once the work is done.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # It tells of each of its tries; what came of them is said here, in one line.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0 if words else 2
    if words[0] == "--version":
        from hf_unlearn import __version__

        print(f"hf-unlearn {__version__}")
        return 0
    command, *rest = words
    if command not in COMMANDS:
        print(
            f"hf-unlearn: error: {command!r} is not a command; {did_you_mean(command, COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    # An interruption may come while the libraries are still loaded.
    return run(
        command,
        lambda argv: importlib.import_module(home_of(command)).main(argv),
        rest,
    )


def run(command: str, function: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Call `function(argv)`; print what the user can mend as one line. Returns the exit status as [`main`] does."""
    try:
        with _ended_by_signals():
            return _run(command, function, argv)
    except KeyboardInterrupt:
        said, number = "interrupted", int(signal.SIGINT)
    except Ended as end:
        said, number = f"ended by {signal.Signals(end.number).name}", end.number
    if is_first_process():
        print(f"hf-unlearn {command}: {said}", file=sys.stderr)
    return 128 + number


def _run(command: str, function: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    try:
        with warnings_shown(command):
            function(argv)
        return 0
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        said = mendable(error)
        if said is None:
            raise
        if is_first_process():
            print(f"hf-unlearn {command}: error: {said}", file=sys.stderr)
        return 1 if isinstance(error, (DivergenceError, PublishingError)) else 2


def mendable(error: Exception) -> str | None:
    """What is to be said, on one line, of an error that a user can mend; None of others, which are the library's."""
    if isinstance(error, UnlearningError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        # A full disk, a folder that has gone: nothing that a traceback would explain.
        return one_line(error)
    # torch's own is no MemoryError.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"out of memory; try smaller batches ({one_line(error)})"
    return None


def home_of(command: str) -> str:
    """The module of a command."""
    return _HOMES.get(command, f"hf_unlearn.commands.{command.replace('-', '_')}")


class Ended(BaseException):
    """A signal asked the process to end: what was begun is tidied up on the way out."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While this is open, the signals that end a process raise [`Ended`], unless they are ignored (`nohup`)."""

    def end(number: int, frame: object) -> None:
        raise Ended(number)

    known = [number for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)) if number is not None]
    here = threading.current_thread() is threading.main_thread()
    taken = [number for number in known if here and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: hf-unlearn COMMAND [flags]\n\n"
        "Make an image classifier forget.\n\n"
        f"commands:\n{commands}\n\n"
        "hf-unlearn COMMAND --help says more; hf-unlearn --version."
    )


if __name__ == "__main__":
    sys.exit(main())
