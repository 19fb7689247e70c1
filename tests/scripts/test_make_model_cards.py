"""The committed cards are those that their records give."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "make_model_cards.py"))
CARDS: Path = SCRIPT["CARDS"]


def test_there_are_cards_of_the_demo_and_of_fashion_mnist():
    assert {
        "digits-resnet-forgot-eight",
        "fashion-mnist-resnet-forgot-sneaker",
        "fashion-mnist-vit-forgot-sneaker",
    } <= set(SCRIPT["names"]())


@pytest.mark.parametrize("name", SCRIPT["names"]())
def test_a_card_is_generated_not_typed(name):
    committed = (CARDS / f"{name}.md").read_text(encoding="utf-8")
    assert committed == SCRIPT["render"](name)
    card = ModelCard(committed)
    assert card.data.pipeline_tag == "image-classification" and card.data.eval_results
    assert "retrained" in committed and "do nothing" in committed
