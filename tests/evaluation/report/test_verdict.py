"""The first sentence of a report: it says whether the request was met, and never more than the figures do."""

from __future__ import annotations

import re

import pytest

from hf_unlearn.evaluation.report.verdict import MET, NOT_MET, OPEN, verdict_of


def results(whole=True, closer=None, tie=None, before=None, **ours):
    original = {"forget_accuracy": 99.0, "test_accuracy_remaining": 95.0, **(before or {})}
    unlearned = {"forget_accuracy": 0.5, "test_accuracy_remaining": 95.0, **ours}
    verdict = {"closer_than_doing_nothing": closer, "tie_with_retrained": tie}
    return {"models": {"original": original, "unlearned": unlearned}, "whole_classes": whole, "verdict": verdict}


@pytest.mark.parametrize(
    ("given", "tone", "said"),
    [
        (
            results(),
            MET,
            "Forgotten in its answers: .* recognises 0.5 % .* where it was 99.0 %, and the rest is as good",
        ),
        (results(forget_accuracy=2.1), NOT_MET, "Not forgotten: .* 2.1 %"),
        (results(forget_accuracy=2.0), MET, "Forgotten"),
        (results(test_accuracy_remaining=92.9), OPEN, "at a price: .* the rest is 2.1 points worse"),
        (results(test_accuracy_remaining=97.0), MET, "the rest is 2.0 points better"),
        (results(test_accuracy_remaining=None, retain_accuracy=90.0), MET, "0.5 % of the samples .* 99.0 %.$"),
        (
            results(before={"retain_accuracy": 99.0, "test_accuracy_remaining": None}, retain_accuracy=90.0),
            OPEN,
            "9.0 points",
        ),
        (results(before={"forget_accuracy": 1.0}), OPEN, "There was nothing to forget"),
        (results(average_gap=0.16), MET, "its accuracies are 0.16 points from a retrained model's"),
        (results(average_gap=0.16, depth=66.4), MET, "inside it is 66 % of the way"),
        (results(whole=False), OPEN, "Nobody can tell: other samples still teach these labels"),
        (
            results(False, True, False, {"average_gap": 6.0}, average_gap=3.0),
            MET,
            "nearer to a retrained one .* 3.00 .* 6.00",
        ),
        (
            results(False, False, True, {"average_gap": 1.0}, average_gap=1.2),
            MET,
            "as near to a retrained model as another",
        ),
        (
            results(False, False, False, {"average_gap": 1.0}, average_gap=9.0),
            NOT_MET,
            "no nearer .* 9.00 .* nothing 1.00",
        ),
        (results(False, None, True, average_gap=9.0), MET, "as near"),
    ],
)
def test_each_case(given, tone, said):
    verdict = verdict_of(given)
    assert verdict.tone == tone
    assert re.search(said, verdict.sentence)
    # One sentence.
    assert verdict.sentence.endswith(".") and not re.search(r"\.\s", verdict.sentence)


def test_an_original_alone_is_no_success():
    given = {"models": {"original": {"forget_accuracy": 99.0}}, "whole_classes": True, "verdict": {}}
    assert verdict_of(given) == (OPEN, "Nothing was unlearned: the model recognises 99.0 % of the samples to forget.")
    alone = {"models": {"unlearned": {"forget_accuracy": 0.0}}, "whole_classes": True, "verdict": {}}
    assert (
        verdict_of(alone).sentence == "Forgotten in its answers: the model recognises 0.0 % of the samples to forget."
    )
