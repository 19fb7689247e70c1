"""Writes what belongs into the repository of the Space: `python scripts/make_space.py FOLDER`.

The Space's own three files, and the package beside them, since it is in no registry.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPACE = ROOT / "spaces" / "unlearning"


def make_space(folder: Path) -> None:
    """Write the Space into a folder, which is made; what is there already is replaced."""
    shutil.copytree(SPACE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    package = folder / "hf_unlearn"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "hf_unlearn", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "LICENSE", folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a clone of the Space's repository, or a new folder")
    folder = parser.parse_args().folder
    make_space(folder)
    print(f"Wrote the Space into {folder}; commit and push it there")


if __name__ == "__main__":
    main()
