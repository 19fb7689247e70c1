"""Every block of code in README.md and docs/ runs, or says in the source of its page why it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.blocks import RUN, SHOWN, Block, blocks_of, run_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {path.relative_to(ROOT).as_posix(): blocks_of(path) for path in PAGES}
# These live on what the demo leaves, on a machine without a Hub. The others are in the slow tests.
WITHOUT_HUB = {"README.md", "docs/quickstart.md"}
QUICK = {"README.md"}
# What a reader runs takes minutes; the demo has a test of its own.
ALSO = {"demo": ["--num_train_epochs", "3"], "evaluate": ["--level", "fast"]}
MOST_NOT_RUN = 8


def running() -> list:
    pages = [name for name, blocks in BLOCKS.items() if any(block.language in RUN for block in blocks)]
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in pages]


@pytest.mark.parametrize("page", running())
def test_the_blocks_of_a_page_run(page, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path if page in WITHOUT_HUB else request.getfixturevalue("stocked_folder")
    run_page(BLOCKS[page], folder, ALSO)
    if page in WITHOUT_HUB:
        # What the lines of Python saved can be pushed as it is.
        assert {"model.safetensors", "unlearning.json", "README.md"} <= set(os.listdir("forgot"))


def test_few_blocks_do_not_run_and_each_says_why():
    every = [block for blocks in BLOCKS.values() for block in blocks]
    assert {block.place for block in every if block.language not in RUN + SHOWN} == set()
    left_out = [block for block in every if block.not_run]
    assert len(left_out) <= MOST_NOT_RUN, [block.place for block in left_out]
    # What a page includes from elsewhere is an example, which has a test of its own.
    included = [block.included for block in every if block.included]
    assert [Path(name) for name in included] == [
        path.relative_to(ROOT) for path in sorted((ROOT / "examples").glob("*.py"))
    ]


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 9000


def page(tmp_path, text: str) -> list[Block]:
    (tmp_path / "page.md").write_text(text)
    return blocks_of(tmp_path / "page.md")


def test_blocks_are_found_with_their_marks(tmp_path):
    found = page(
        tmp_path,
        "text\n\n```python\na = 1\n```\n\n<!-- not run: two GPUs -->\n```bash\nx\n```\n- item\n\n"
        "    ```python\n    b = 2\n    ```\n\n```python\n{{ include examples/x.py }}\n```\n",
    )
    assert [(block.line, block.language, block.text, block.not_run) for block in found] == [
        (4, "python", "a = 1", None),
        (9, "bash", "x", "two GPUs"),
        (14, "python", "b = 2", None),
        (18, "python", "{{ include examples/x.py }}", None),
    ]
    assert [block.included for block in found] == [None, None, None, "examples/x.py"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\na = 1\n```\n\n```python\nassert a == 2\n```\n", "page.md"),
        ("```bash\nhf-unlearn nosuch\n```\n", "page.md:2: 'hf-unlearn nosuch' ended with status 2"),
        ("```bash\n# nothing\ntrue; false\n```\n", "page.md:2: 'true; false' ended with status 1"),
    ],
)
def test_a_block_that_fails_is_a_failure(tmp_path, text, error):
    with pytest.raises(AssertionError) as raised:
        run_page(page(tmp_path, text), tmp_path)
    shown = str(raised.value) if "status" in error else "\n".join(str(entry.path) for entry in raised.traceback)
    assert error in shown


def test_a_file_of_the_page_is_there(tmp_path, capfd):
    text = '```yaml title="run.yaml"\nseed: 1\n```\n\n```bash\ncat run.yaml\n```\n'
    run_page(page(tmp_path, text), tmp_path)
    assert capfd.readouterr().out == "seed: 1\n"


def test_lines_of_a_command_belong_together(tmp_path, capfd):
    run_page(page(tmp_path, "```bash\necho one \\\n    two > out.txt\ncat out.txt  # shown\n```\n"), tmp_path)
    assert capfd.readouterr().out == "one two\n"
