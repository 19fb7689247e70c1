"""The cards in model_cards/, rendered from the records beside them.

    python scripts/make_model_cards.py                                   # render again from model_cards/*.json
    python scripts/make_model_cards.py demo=outputs/demo/unlearned ...   # take the records of runs first

A card is generated, never typed: a test renders them again and compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hf_unlearn.files import write_json
from hf_unlearn.publishing.card import render_card
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.secrecy import published

CARDS = Path(__file__).resolve().parent.parent / "model_cards"


def render(name: str) -> str:
    """The card of a record in model_cards/. Its plots are on the Hub only."""
    record = json.loads((CARDS / f"{name}.json").read_text(encoding="utf-8"))
    return render_card(record, f"hf-unlearn/{name}")


def names() -> list[str]:
    """The records there are."""
    return sorted(path.stem for path in CARDS.glob("*.json"))


def main() -> None:
    CARDS.mkdir(exist_ok=True)
    for word in sys.argv[1:]:
        name, _, folder = word.partition("=")
        write_json(published(read_record(folder)), CARDS / f"{name}.json")
    for name in names():
        (CARDS / f"{name}.md").write_text(render(name), encoding="utf-8")
        print(CARDS / f"{name}.md")


if __name__ == "__main__":
    main()
