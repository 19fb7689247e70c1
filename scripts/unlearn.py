"""`hf-unlearn unlearn`, as a file for `accelerate launch scripts/unlearn.py ...`."""

import sys

from hf_unlearn.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["unlearn", *sys.argv[1:]]))
