"""Any text as part of Markdown, Python and shell: names come from datasets and folders, and may hold anything.

HTML is escaped by Jinja's autoescape (`hf_unlearn.evaluation.report.html`), plots by
`hf_unlearn.evaluation.report.figures.as_plot_text`, YAML by huggingface_hub's own writer.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

from hf_unlearn.errors import printable, unseen

# All that means something to CommonMark, to the tables and links of GitHub's, to KaTeX and to HTML.
# Within a word an underscore means nothing.
_MARKS = re.compile(r"[\\`*{}\[\]()<>#|~$&@!:^\"]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\bwww)\.")


def as_markdown(text: object) -> str:
    """Text that any reader of Markdown shows as it is, in prose, in a heading and in a cell of a table; on one line."""
    return _MARKS.sub(lambda found: f"&#{ord(found[0])};", printable(str(text)))


def as_code(text: object) -> str:
    """Text as code within a line of Markdown, whatever backticks are in it."""
    line = printable(str(text))
    fence = "`" * (_longest_run("`", line) + 1)
    # A bar would end a table's cell, and a backtick at an end would join the fence.
    pad = " " if line.startswith("`") or line.endswith("`") or not line.strip() else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def as_block(text: str, language: str) -> str:
    """Text as a block of code in Markdown, whatever backticks are in it."""
    fence = "`" * max(3, _longest_run("`", text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def as_python(text: object) -> str:
    """Text as a literal of Python, in double quotes."""
    return json.dumps(printable(str(text)), ensure_ascii=False)


def as_shell(words: Sequence[str]) -> str:
    """Words as one line of a shell's, each of them one word to it."""
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    if not any(unseen(char) or printable(char) != char for char in word):
        return shlex.quote(word)
    # In single quotes a line break would break the line: bash, zsh and ksh read escapes in $'...'.
    quoted = "".join(f"\\{char}" if char in "\\'" else char if char.isprintable() else _escape(char) for char in word)
    return f"$'{quoted}'"


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _longest_run(char: str, text: str) -> int:
    return max(map(len, re.findall(f"{re.escape(char)}+", text)), default=0)
