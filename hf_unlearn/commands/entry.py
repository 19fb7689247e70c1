"""Where the command `hf-unlearn` begins: nothing is imported before an interruption is one line.

`main` and what it imports take a fifth of a second, in which there is nothing to tidy up yet.
"""

import os
import signal
import sys


def main() -> int:
    """As [`hf_unlearn.commands.main.main`]."""
    # It may be ignored (a job in the background), and stays so.
    is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heeded:
        signal.signal(signal.SIGINT, _interrupted)
    from hf_unlearn.commands.main import main as run

    try:
        if is_heeded:
            # From here on whatever is open is closed on the way out.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        _interrupted(signal.SIGINT, None)
        return 128 + signal.SIGINT


def _interrupted(number: int, frame: object) -> None:
    os.write(2, b"hf-unlearn: interrupted\n")
    # Not by an exception: in the midst of an import it would be said as that import's fault.
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
