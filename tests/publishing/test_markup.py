"""Names that may hold anything: a card shows them as they are, and its header, blocks and command stay whole."""

from __future__ import annotations

import ast
import copy
import re
import subprocess
from html.parser import HTMLParser

import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hf_unlearn.errors import printable
from hf_unlearn.publishing.card import render_card
from hf_unlearn.publishing.markup import as_block, as_code, as_markdown, as_python, as_shell
from hf_unlearn.publishing.record import read_record
from tests.nasty import NASTY

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40) | st.text(
    "`*_~$<>|[]()\\!&#:\n -=x.w", max_size=40
)


class Reader(HTMLParser):
    """The tags of a page in their order, and its text."""

    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, tuple]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data):
        self.text += data


def read(markdown):
    reader = Reader()
    # HTML is let through, as on the Hub: what is not escaped would be seen.
    reader.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))
    reader.close()
    return reader


def squeezed(text):
    return " ".join(text.split())


@given(ANY_TEXT | st.sampled_from(NASTY))
def test_prose_and_code_and_cells_show_it_as_it_is(text):
    line = squeezed(printable(text))
    for before, after in (("a ", " b"), ("# a ", " b"), ("|a|\n|---|\n|a ", " b|")):
        page, plain = read(f"{before}{as_markdown(text)}{after}"), read(f"{before}x{after}")
        assert page.tags == plain.tags
        assert squeezed(page.text) == squeezed(plain.text.replace("x", line))
    # KaTeX looks at the source.
    assert "$" not in as_markdown(text)
    code = read(f"a {as_code(text)} b")
    assert code.tags == [("p", ()), ("code", ())] and squeezed(code.text) == squeezed(f"a {line} b")


@given(ANY_TEXT | st.sampled_from(NASTY))
def test_a_block_ends_where_it_ends(text):
    text = "\n".join(text.splitlines())
    page = read(f"{as_block(text, 'bash')}\nafter")
    assert [tag for tag, _ in page.tags] == ["pre", "code", "p"] and page.text.endswith("after\n")


@given(ANY_TEXT | st.sampled_from(NASTY))
def test_a_literal_of_python_is_one(text):
    assert ast.literal_eval(as_python(text)) == printable(text) and "\n" not in as_python(text)


@given(st.lists(ANY_TEXT | st.sampled_from(NASTY), min_size=1, max_size=8))
def test_words_stay_words_of_a_shell(words):
    # No word of a process holds a NUL, and halves of characters are none.
    words = [word.replace("\0", "").encode("utf-8", "ignore").decode() for word in words]
    command = as_shell(["printf", r"%s\0", *words])
    assert len(command.splitlines()) == 1
    said = subprocess.run(["bash", "-c", command], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout
    assert said.decode().split("\0")[:-1] == words


def named(record, name):
    """A record in which everything that has a name of somebody's has this one."""
    record = copy.deepcopy(record)
    record["request"] = {"kind": "class", "classes": [name], "text": f"the class {name!r}"}
    record["original_model"].update(name=name, from_hub=False)
    record["dataset"].update(name=name, from_hub=False, dataset_config_name=name, label_column=name)
    record["adapter"] = {"kind": "LORA", "base_model": {"name": name, "revision": None, "from_hub": False}}
    record["stop_reason"] = name
    record["settings"]["objective"] = name
    return record


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_a_card_with_such_names_is_a_card_like_any_other(unlearned, name):
    record = read_record(str(unlearned))
    card, usual = (render_card(named(record, each), f"org/{each}") for each in (name, "plain"))
    data, plain = ModelCard(card).data.to_dict(), ModelCard(usual).data.to_dict()
    assert data.keys() == plain.keys() and data["tags"] == plain["tags"]
    assert data["model-index"][0]["results"][0]["dataset"]["name"].split() == name.split()
    page, other = read(ModelCard(card).text), read(ModelCard(usual).text)
    assert page.tags == other.tags
    assert squeezed(page.text).count(squeezed(repr(name))) >= 1
    assert not re.search(r"(?i)<script|<img", re.sub(r"`+.*?`+", "", ModelCard(card).text.split("## Use")[0]))
