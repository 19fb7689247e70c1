"""The house stays in order: import directions, lengths, versions, and a command line that starts fast."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import hf_unlearn
from hf_unlearn.commands.main import COMMANDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hf_unlearn"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Single files that every room may import.
BELOW_ALL = ("errors", "files", "names", "progress")
# Each room, and the rooms that it may import from besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "names": set(),
    "progress": set(),
    "request": {*BELOW_ALL},
    "ledger": {*BELOW_ALL, "request"},
    "objectives": {*BELOW_ALL},
    "models": {*BELOW_ALL, "request"},
    "data": {*BELOW_ALL, "request", "objectives", "models"},
    "evaluation": {*BELOW_ALL, "request", "objectives", "models", "data"},
    "publishing": {*BELOW_ALL, "request", "models", "data", "evaluation"},
    "trainers": {*BELOW_ALL, "request", "objectives", "models", "data", "publishing"},
    "ensembles": {*BELOW_ALL, "request", "models", "data", "trainers", "evaluation"},
    "commands": {
        *BELOW_ALL,
        "request",
        "objectives",
        "models",
        "data",
        "trainers",
        "evaluation",
        "publishing",
        "ledger",
        "ensembles",
    },
    "app": {
        *BELOW_ALL,
        "request",
        "data",
        "models",
        "trainers",
        "evaluation",
        "publishing",
        "ledger",
        "commands",
    },
}
# Third parties that a room must not know.
MUST_NOT_KNOW: dict[str, set[str]] = {
    "errors": {"torch", "transformers", "datasets"},
    "files": {"torch", "transformers", "datasets"},
    "names": {"torch", "transformers", "datasets"},
    "request": {"torch", "transformers", "accelerate", "evaluate", "timm"},
    "ledger": {"torch", "transformers", "accelerate", "evaluate", "timm"},
}
# Rooms that know these third parties and no others.
KNOWS_ONLY: dict[str, set[str]] = {"objectives": {"torch"}}

# Within `trainers`: what is checked knows nothing of the trainer, and the trainer of no method.
WITHIN_TRAINERS = {"safety": {"safety"}, "base": {"safety", "base"}, "methods": {"safety", "base", "methods"}}

HEAVY = {"torch", "transformers", "datasets", "accelerate", "evaluate", "sklearn", "matplotlib", "peft", "gradio"}


def imported_names(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """The line and the full dotted name of everything imported anywhere in the tree, functions included.

    `package` is the dotted path of the package that the module lies in, which relative imports start from.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *(node.module or "").split(".")]).rstrip(".")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = ast.unparse(node.func)
            if function == "__import__" or function.split(".")[-1] == "import_module":
                yield node.lineno, str(node.args[0].value)


def forbidden_imports(source: str, module: str) -> list[str]:
    """One line for each import in `source` that the room of `module` ("hf_unlearn.room.x") may not make."""
    package = module.split(".")[:-1]
    room = module.split(".")[1]
    if room not in MAY_IMPORT:
        return [f"{module}: a room that tests/test_layout.py does not know; give it a row in MAY_IMPORT"]
    problems = []
    for line, name in imported_names(ast.parse(source), package):
        top, _, rest = name.partition(".")
        if top == "hf_unlearn":
            target = rest.split(".")[0]
            allowed = target in {room, "", "__version__", *MAY_IMPORT[room]}
        else:
            known_only = KNOWS_ONLY.get(room)
            standard = top in sys.stdlib_module_names
            allowed = top not in MUST_NOT_KNOW.get(room, set()) and (
                known_only is None or standard or top in known_only
            )
        if not allowed:
            problems.append(f"{module}:{line} imports {name}, which {room} may not")
    return problems


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


# Modules that forward to where their content went; nothing of the package imports them.
OLD_NAMES = {"hf_unlearn.models.pixels": "hf_unlearn.data.pixels"}


def room_files() -> list[Path]:
    left_out = {PACKAGE / "__init__.py", *(ROOT / f"{name.replace('.', '/')}.py" for name in OLD_NAMES)}
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path not in left_out]


def tracked_files() -> list[Path]:
    """Files that git tracks, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", room_files(), ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    assert forbidden_imports(path.read_text(encoding="utf-8"), module_name(path)) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hf_unlearn.objectives.x", "import transformers"),
        ("hf_unlearn.objectives.x", "import numpy as np"),
        ("hf_unlearn.request.x", "import torch.nn"),
        ("hf_unlearn.request.x", "def f():\n    from transformers import AutoConfig"),
        ("hf_unlearn.request.x", "from hf_unlearn.models import load_image_classifier"),
        ("hf_unlearn.models.x", "if True:\n    from ..trainers.registry import TRAINERS"),
        ("hf_unlearn.evaluation.x", "from hf_unlearn import trainers"),
        ("hf_unlearn.evaluation.x", "import hf_unlearn.trainers.registry"),
        ("hf_unlearn.evaluation.x", "from hf_unlearn import MUMisTrainer"),
        ("hf_unlearn.evaluation.x", "import importlib\nimportlib.import_module('hf_unlearn.trainers')"),
        ("hf_unlearn.evaluation.__init__", "from ..publishing import card"),
        ("hf_unlearn.publishing.x", "from hf_unlearn.commands.main import main"),
        ("hf_unlearn.publishing.x", "from hf_unlearn.trainers import MUMisTrainer"),
        ("hf_unlearn.attic.x", ""),
    ],
)
def test_a_planted_violation_is_caught(module: str, source: str) -> None:
    assert len(forbidden_imports(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hf_unlearn.objectives.x", "import math, torch\nfrom torch.nn import functional"),
        ("hf_unlearn.request.x", "import numpy\nfrom datasets import Dataset\nfrom . import splits"),
        ("hf_unlearn.trainers.x", "from ..objectives.mu_mis import difference_loss\nimport transformers"),
        (
            "hf_unlearn.evaluation.__init__",
            "from .metrics import accuracy\nfrom ..errors import UnlearningError",
        ),
        ("hf_unlearn.commands.x", "from hf_unlearn import __version__\nfrom hf_unlearn import publishing"),
    ],
)
def test_a_permitted_import_is_not(module: str, source: str) -> None:
    assert forbidden_imports(source, module) == []


def test_the_trainers_are_built_in_order() -> None:
    found = []
    for path in sorted((PACKAGE / "trainers").rglob("*.py")):
        folder = path.relative_to(PACKAGE / "trainers").parts[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # What type checkers alone read makes nothing depend on anything.
        typing = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        unread = {child for node in typing for child in ast.walk(node)}
        for node in (node for node in ast.walk(tree) if node not in unread):
            name = node.module if isinstance(node, ast.ImportFrom) else None
            part = (name or "").removeprefix("hf_unlearn.trainers.").split(".")[0]
            if folder in WITHIN_TRAINERS and part in WITHIN_TRAINERS and part not in WITHIN_TRAINERS[folder]:
                found.append(f"{path.name} of {folder} imports {name}")
    assert found == []


def test_the_stub_follows_from_the_registry() -> None:
    script = ROOT / "scripts" / "make_stub.py"
    code = f"import runpy; print(runpy.run_path({str(script)!r})['stub'](), end='')"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert made == (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_old_name_leads_to_the_new_place(old: str, new: str) -> None:
    module = importlib.import_module(old)
    assert module.PixelDataset is importlib.import_module(new).PixelDataset
    used = [path for path in room_files() if old in path.read_text(encoding="utf-8")]
    assert used == []


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("hf_unlearn", "scripts", "tests")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_script_hides_a_dependency() -> None:
    """`python scripts/x.py` puts scripts/ first on the path: a scripts/evaluate.py would be `evaluate`."""
    hidden = {path.stem for path in (ROOT / "scripts").glob("*.py")} & (HEAVY | sys.stdlib_module_names)
    assert hidden == set()


def test_no_home_or_work_folder_in_any_file() -> None:
    # Names that stand for nobody in particular may appear, in examples and in tests of what is hidden.
    folder = re.compile(r"(?<![\w.:/~-])/(?:home|root|work|Users)/(?!someone\b|user\b|you\b)\w[\w./-]*")
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match}" for match in folder.findall(text)]
    assert found == []


def test_versions_agree() -> None:
    """The version's one home is `hf_unlearn/__init__.py`; pyproject.toml reads it there."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert "version" in PROJECT["dynamic"]
    assert citation["version"] == hf_unlearn.__version__
    assert citation["license"] == PROJECT["license"]


def test_minimum_pins_are_the_lower_bounds() -> None:
    lines = (ROOT / "constraints" / "minimum.txt").read_text(encoding="utf-8").splitlines()
    pins = {str(Requirement(line)) for line in lines if line and not line.startswith("#")}
    bounds = [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["peft"],
        *PROJECT["optional-dependencies"]["app"],
    ]
    assert pins == {dependency.replace(">=", "==") for dependency in bounds}


HELP = "sys.argv = ['hf-unlearn', {} '--help']; from hf_unlearn.commands.main import main; sys.exit(main())"
STARTS = {
    "import": "import hf_unlearn",
    "--help": HELP.format(""),
    **{f"{command} --help": HELP.format(f"{command!r},") for command in COMMANDS},
}


@pytest.mark.parametrize("statement", STARTS.values(), ids=STARTS.keys())
def test_starts_without_the_heavy_libraries(statement: str) -> None:
    code = (
        "import sys\n"
        f"try:\n    {statement}\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"loaded = {HEAVY!r} & sys.modules.keys()\n"
        "assert not loaded, loaded\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
