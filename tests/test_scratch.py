"""What tests leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# A fork that ends by `sys.exit` runs what was registered before it, too.
FORKED = """
import os, sys
from tests.scratch import own_folder
folder = own_folder()
if os.fork() == 0:
    sys.exit()
os.wait()
print(os.path.isdir(folder), folder)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")
def test_a_folder_goes_with_the_process_that_made_it_and_no_other():
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", FORKED], cwd=root, capture_output=True, text=True, check=True)
    there, folder = done.stdout.split(maxsplit=1)
    assert there == "True" and folder.strip() and not Path(folder.strip()).exists()
