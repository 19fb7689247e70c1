"""`hf-unlearn COMMAND`: finds the command's module and turns its errors into one line and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

COMMANDS = {
    "unlearn": "make a model forget samples of its training set",
    "evaluate": "see how well a model forgot, against the original and a retrained one",
    "push": "publish an unlearned model on the Hub, with its card, and read it back",
    "card": "make an unlearned model's card anew",
    "train": "train an image classifier, on demand without a request's samples",
    "demo": "all of it on a small real dataset, in about two minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The `hf-unlearn` command. Its exit status: 0; 1 if unlearning diverged or the Hub failed; 2 for bad input."""
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
        from hf_unlearn.errors import did_you_mean

        print(
            f"hf-unlearn: error: {command!r} is not a command; {did_you_mean(command, COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    return run(command, importlib.import_module(f"hf_unlearn.commands.{command}").main, rest)


def run(command: str, function: Callable[[Sequence[str]], None], argv: Sequence[str]) -> int:
    """Call `function(argv)`; print an [`UnlearningError`] as one line. Returns the exit status as [`main`] does."""
    from hf_unlearn.commands.parsing import is_first_process
    from hf_unlearn.commands.terminal import warnings_shown
    from hf_unlearn.errors import DivergenceError, PublishingError, UnlearningError

    try:
        with warnings_shown(command):
            function(argv)
    except UnlearningError as error:
        if is_first_process():
            print(f"hf-unlearn {command}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1 if isinstance(error, (DivergenceError, PublishingError)) else 2
    except KeyboardInterrupt:
        print(f"hf-unlearn {command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


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
