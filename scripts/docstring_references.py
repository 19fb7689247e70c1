"""What the site's reference makes of docstrings: an extension of griffe, which mkdocs.yml names.

- "[`MUMisTrainer`]", which is how docstrings name other things, becomes a link if the name is public, and else code.
- `setting(default, description)` of a config becomes an attribute with that default and that description.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import griffe

PACKAGE = Path(__file__).resolve().parents[1] / "hf_unlearn"
REFERENCE = re.compile(r"\[`([\w.]+)`\](?![\[(])")


def public_names() -> dict[str, str]:
    """The full name of each public thing, by how a docstring may call it."""
    found = {}
    for package in ("hf_unlearn.evaluation", "hf_unlearn"):
        stub = PACKAGE.parent / package.replace(".", "/") / "__init__.pyi"
        names = re.findall(r"^from \S+ import (\w+) as \1$", stub.read_text(encoding="utf-8"), re.MULTILINE)
        found.update({name: f"{package}.{name}" for name in names})
    return found | {full: full for full in found.values()}


PUBLIC = public_names()


def linked(text: str) -> str:
    """`text` with its references as links to public names, or as code."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        return f"[`{name}`][{PUBLIC[name]}]" if name in PUBLIC else f"`{name}`"

    return REFERENCE.sub(replace, text)


class DocstringReferences(griffe.Extension):
    """See the module."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = linked(obj.docstring.value)

    def on_attribute_instance(
        self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, **kwargs: Any
    ) -> None:
        call = node.value if isinstance(node, ast.AnnAssign) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return
        if call.func.id == "setting":
            default, description = call.args[:2]
        elif call.func.id == "field" and "metadata" in ast.unparse(call):
            named = {keyword.arg: keyword.value for keyword in call.keywords}
            if "default" not in named or not isinstance(named["metadata"], ast.Dict):
                return
            default, description = named["default"], ast.literal_eval(named["metadata"])["help"]
        else:
            return
        attr.value = ast.unparse(default)
        text = description if isinstance(description, str) else ast.literal_eval(description)
        attr.docstring = griffe.Docstring(text, parent=attr)
