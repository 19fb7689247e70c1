"""`hf-unlearn evaluate`, as a file. Not called evaluate.py: beside other scripts that would hide the library."""

import sys

from hf_unlearn.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
