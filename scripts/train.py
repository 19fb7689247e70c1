"""`hf-unlearn train`, as a file for `accelerate launch scripts/train.py ...`."""

import sys

from hf_unlearn.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
