"""`hf-unlearn evaluate`, as a file for `accelerate launch scripts/evaluate.py ...`."""

import sys

from hf_unlearn.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
