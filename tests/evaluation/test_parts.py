"""Whoever looks on hears of every part of a comparison, and can end it at each."""

from __future__ import annotations

import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, compare, make_splits
from hf_unlearn.evaluation.predict import Contestant
from tests.tiny import make_dataset, make_model, make_processor

PARTS = {
    "fast": ["the images of the forget set", "the images of the retain set", "the images of the test set"]
    + ["the answers on the forget set", "the answers on the retain set", "the answers on the test set"],
    "standard": ["membership attacks on the original model", "membership attacks on the unlearned model"]
    + ["the sensitivities of the original model", "the sensitivities of the unlearned model"]
    + ["how fast the unlearned model relearns"],
    "deep": ["how deep it goes in the original model", "how deep it goes in the unlearned model"],
}


class Ended(Exception):
    """Nobody wants it any more."""


class NotNow(ValueError):
    """The same, of the kind that a probe takes for its own failure."""


@pytest.fixture(scope="module")
def judge():
    data = DatasetDict({"train": make_dataset(240), "test": make_dataset(40, seed=1)})
    # What the original knows, so that there is something to relearn.
    splits = make_splits(data, ForgetRequest(classes=("grey",)))
    original, unlearned = (Contestant(str(seed), make_model(seed=seed), make_processor()) for seed in (0, 1))

    def judged(level, on_part, **more):
        unlearned.model.train()
        return compare(
            unlearned, original=original, splits=splits, level=level, batch_size=16, on_part=on_part, **more
        ), unlearned.model

    judged.model = unlearned.model
    return judged


def test_every_part_is_named(judge):
    heard = []
    found, _ = judge("deep", heard.append)
    assert list(dict.fromkeys(heard)) == [*PARTS["fast"], *PARTS["standard"], *PARTS["deep"]]
    # Of what takes many batches or steps they hear many times.
    assert heard.count("the answers on the retain set") == 12 and heard.count(PARTS["standard"][-1]) > 1
    alone, _ = judge("deep", None)
    assert alone["models"] == found["models"]


@pytest.mark.parametrize("part", [part for parts in PARTS.values() for part in parts])
def test_it_ends_where_it_is_told_to(judge, part, tmp_path):
    level = next(level for level, parts in PARTS.items() if part in parts)

    def ends(what):
        if what == part:
            raise Ended

    with pytest.raises(Ended):
        judge(level, ends, cache_dir=tmp_path)
    assert judge.model.training, "it is left as it was"
    assert [path for path in tmp_path.iterdir() if path.suffix != ".npy"] == []


def test_what_ends_it_is_not_taken_for_a_probes_failure(judge):
    heard = []

    def ends(what):
        heard.append(what)
        # In the midst of relearning.
        if heard.count(PARTS["deep"][1]) == 30:
            raise NotNow("not now")

    with pytest.raises(NotNow):
        judge("deep", ends)
