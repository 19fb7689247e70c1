"""What is imported from `hf_unlearn.evaluation` is listed, documented, and costs nothing before it is used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hf_unlearn.evaluation

STUB = Path(hf_unlearn.evaluation.__file__).with_name("__init__.pyi")
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "evaluation.md"


def test_the_list_is_that_of_the_stub():
    imported = re.findall(r"^from \S+ import (\w+) as \1$", STUB.read_text(), re.MULTILINE)
    listed = re.findall(r'^    "(\w+)",$', STUB.read_text(), re.MULTILINE)
    assert listed == sorted(imported) and set(listed) <= set(dir(hf_unlearn.evaluation))
    assert set(hf_unlearn.evaluation.__all__) == set(listed)


@pytest.mark.parametrize("name", hf_unlearn.evaluation.__all__)
def test_each_is_documented_and_in_the_reference(name):
    found = getattr(hf_unlearn.evaluation, name)
    assert (found.__doc__ or "").strip()
    assert f"::: hf_unlearn.evaluation.{name}\n" in REFERENCE.read_text(encoding="utf-8") + "\n"


def test_a_metric_needs_neither_torch_nor_transformers():
    code = (
        "import sys\nfrom hf_unlearn.evaluation import js_divergence, tug_of_war, auc, loss_attack\n"
        "assert not {'torch', 'transformers', 'datasets', 'sklearn'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
