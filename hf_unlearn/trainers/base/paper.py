"""The paper of a method, as its trainer's `paper` holds it."""

from __future__ import annotations


def cite(key: str, title: str, arxiv: str) -> dict[str, str]:
    """Title, arXiv number and BibTeX entry of a paper.

    The entry has title and number only: what is not looked up is not printed into a card.
    """
    citation = f"@misc{{{key},\n  title = {{{title}}},\n  eprint = {{{arxiv}}},\n  archivePrefix = {{arXiv}},\n}}"
    return {"title": title, "id": arxiv, "citation": citation}
