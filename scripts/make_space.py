"""Writes what belongs into the repository of the Space: `python scripts/make_space.py FOLDER`.

The Space's own three files, and the package beside them, since it is in no registry.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPACE = ROOT / "spaces" / "unlearning"
# Of the clone, what may be written over.
OUTPUTS = ROOT / "outputs"


def check_folder(folder: Path) -> None:
    """Refuse a folder that the Space would be written over something else in.

    Raises:
        ValueError: it is this clone, lies in it (but for `outputs`) or holds it, or is another project or no folder.
    """
    real = folder.resolve()
    here = real.is_relative_to(ROOT) and not real.is_relative_to(OUTPUTS)
    if here or ROOT.is_relative_to(real) or (real / "pyproject.toml").exists() or (real.exists() and not real.is_dir()):
        raise ValueError(f"folder {str(folder)!r} is not the Space's; expected a clone of its repository, or none")


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
    try:
        check_folder(folder)
    except ValueError as error:
        print(f"make_space: error: {error}", file=sys.stderr)
        sys.exit(2)
    make_space(folder)
    print(f"Wrote the Space into {folder}; commit and push it there")


if __name__ == "__main__":
    main()
