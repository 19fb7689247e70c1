"""The methods by name. A method's line here is what makes `--method NAME` know it; the rest follows from its file."""

from __future__ import annotations

import ast
import dataclasses
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hf_unlearn.errors import UnlearningError, did_you_mean


class Method(NamedTuple):
    """Where a method lives: the classes `{prefix}Config` and `{prefix}Trainer` of `methods/{name}.py`.

    `retain_free`: it looks at the forget set alone; otherwise it needs the rest of the training set.
    """

    name: str
    prefix: str
    retain_free: bool = True

    @property
    def config(self) -> str:
        """The name of its config."""
        return f"{self.prefix}Config"

    @property
    def trainer(self) -> str:
        """The name of its trainer."""
        return f"{self.prefix}Trainer"

    @property
    def module(self) -> str:
        """The full name of its module."""
        return f"hf_unlearn.trainers.methods.{self.name}"


METHODS = {
    method.name: method
    for method in (
        Method("mu_mis", "MUMis"),
        Method("gradient_ascent", "GradientAscent"),
        Method("random_labels", "RandomLabels"),
        Method("delete", "Delete"),
        Method("jit", "JiT"),
        Method("boundary_shrink", "BoundaryShrink"),
        Method("salun_forget", "SalUnForget"),
        Method("spotter", "Spotter"),
        Method("amun_forget", "AMUNForget"),
        Method("lotus_forget", "LoTUSForget"),
        Method("scar", "SCAR"),
        Method("esc", "ESC"),
        Method("esc_t", "ESCT"),
        Method("head_only", "HeadOnly"),
        Method("mask_logit", "MaskLogit"),
        Method("fine_tune", "FineTune", retain_free=False),
        Method("l1_sparse", "L1Sparse", retain_free=False),
        Method("neggrad_plus", "NegGradPlus", retain_free=False),
        Method("salun", "SalUn", retain_free=False),
        Method("scrub", "Scrub", retain_free=False),
        Method("bad_teacher", "BadTeacher", retain_free=False),
        Method("ssd", "SSD", retain_free=False),
        Method("amun", "AMUN", retain_free=False),
        Method("lotus", "LoTUS", retain_free=False),
        Method("cola", "COLA", retain_free=False),
        Method("regun", "ReGUn", retain_free=False),
        Method("retrain", "Retrain", retain_free=False),
    )
}
METHOD_HELP = (
    "The unlearning method. From the forget set alone: "
    + ", ".join(name for name, method in METHODS.items() if method.retain_free)
    + ". With the rest of the training set: "
    + ", ".join(name for name, method in METHODS.items() if not method.retain_free)
    + "."
)


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UnlearningError: there is none.
    """
    if name not in METHODS:
        raise UnlearningError(f"method {name!r} is not known; {did_you_mean(name, METHODS)}")
    return METHODS[name]


@cache
def settings_of(module: str, config: str) -> type:
    """The settings of a config class (its `setting(...)` fields and those of its parents) as a dataclass.

    They are read from the source: importing a config takes transformers with it, for which `--help` does not wait.

    Args:
        module: full name of its module, `hf_unlearn.trainers.methods.scrub`.
        config: name of the class, `ScrubConfig`.
    """
    tree = ast.parse((Path(__file__).parents[2] / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == config)
    imported = {
        alias.name: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hf_unlearn.trainers")
        for alias in node.names
    }
    here = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    names = [base.id for base in found.bases if isinstance(base, ast.Name)]
    parents = tuple(settings_of(imported.get(name, module), name) for name in names if name in imported or name in here)
    fields = [_field(node) for node in found.body if isinstance(node, ast.AnnAssign) and _is_setting(node.value)]
    light = dataclasses.make_dataclass(config, fields, bases=parents)
    light.__doc__ = (ast.get_docstring(found) or config).partition("\n")[0].removeprefix("Settings of ")
    return light


def _is_setting(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setting"


def _field(node: ast.AnnAssign) -> tuple[str, str, dataclasses.Field]:
    assert isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call)
    default, description = (ast.literal_eval(argument) for argument in node.value.args)
    metadata = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.value.keywords}
    described = dataclasses.field(default=default, metadata={"help": description, **metadata})
    return node.target.id, ast.unparse(node.annotation), described
