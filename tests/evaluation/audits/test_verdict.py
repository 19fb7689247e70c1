"""The verdict: exact retraining passes, doing nothing fails, and swapped models turn it round."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hf_unlearn import UnlearningError
from hf_unlearn.evaluation import Answers, Halves, audit_answers
from hf_unlearn.evaluation.audits.exchange import permuted

SAMPLES = 40
FEW = {"rounds": 100}


def models(seed, trained_on_them, count=16):
    """Answers of models to samples that each finds as hard as it is, and easier if it was trained on them."""
    levels = np.random.default_rng(99).normal(2, 3, SAMPLES)
    rng = np.random.default_rng(seed)
    own = levels + rng.normal(size=(count, SAMPLES)) + 4.0 * trained_on_them
    rest = {part: levels + 3 + rng.normal(size=(count, SAMPLES)) for part in ("retain", "test")}
    found = {"forget": own, **rest}
    return Answers(found, {part: 100.0 * (values > 0).mean(axis=1) for part, values in found.items()})


def on_halves(seed, shift, count=16):
    rng = np.random.default_rng(seed)
    members = {part: rng.random((count, SAMPLES)) < 0.5 for part in ("forget", "retain")}
    found = {part: rng.normal(size=(count, SAMPLES)) + shift * held for part, held in members.items()}
    return Halves(Answers(found, {}), members)


def test_exact_retraining_passes_and_doing_nothing_fails():
    target = models(0, False)
    exact = audit_answers(models(1, False), target, on_halves(0, 0.0), **FEW)
    assert exact["verdict"] == "passes" and all(each["passes"] for each in exact["audits"].values())
    nothing = audit_answers(models(2, True), target, on_halves(0, 4.0), **FEW)
    assert nothing["verdict"] == "fails" and not any(each["passes"] for each in nothing["audits"].values())
    # Each figure is worse, and what chance gives is about the same.
    better = {"u_lira": -1, "klom": -1, "forgetting_quality": 1}
    for name, sign in better.items():
        one, other = exact["audits"][name], nothing["audits"][name]
        assert sign * one["figure"] > sign * other["figure"]
        assert one["p"] > 0.05 and other["p"] < 0.011
    # Samples that were not to be forgotten are as they were.
    assert nothing["audits"]["klom"]["retain"] < nothing["audits"]["klom"]["figure"]


def test_swapping_original_and_retrained_models_turns_the_verdict_round():
    """With the originals in the place of the retrained models, doing nothing is what looks exact."""
    originals, retrained = models(0, True), models(1, False)
    assert audit_answers(models(2, False), retrained, **FEW)["verdict"] == "passes"
    assert audit_answers(models(2, False), originals, **FEW)["verdict"] == "fails"
    assert audit_answers(models(3, True), retrained, **FEW)["verdict"] == "fails"
    assert audit_answers(models(3, True), originals, **FEW)["verdict"] == "passes"


def test_exact_unlearning_seldom_fails():
    """Of 40 exact audits at a level of 0.05 two are to fail in the mean, 7 or more with a chance of 1 %."""
    failed = sum(
        audit_answers(models(2 * seed, False, 8), models(2 * seed + 1, False, 8), rounds=60)["verdict"] == "fails"
        for seed in range(40)
    )
    assert failed < 7


def test_what_was_not_taken_is_named():
    found = audit_answers(models(0, False), models(1, False), **FEW)
    assert set(found["audits"]) == {"klom", "forgetting_quality"}
    assert "random halves" in found["left_out"]["u_lira"] and "not taken: u_lira" in str(found)


def test_too_few_pairs_are_no_attack_and_no_end_of_the_audit():
    few = on_halves(0, 0.0, count=8)
    one = Halves(
        Answers({"forget": few.answers.margins["forget"][:, :1]}, {}), {"forget": few.members["forget"][:, :1]}
    )
    assert "at least 20" in audit_answers(models(0, False), models(1, False), one, **FEW)["left_out"]["u_lira"]


def test_the_final_score_is_that_of_the_accuracies():
    ours, theirs = models(1, False), models(0, False)
    ours.accuracies.update(retain=np.full(16, 45.0), test=np.full(16, 90.0))
    theirs.accuracies.update(retain=np.full(16, 90.0), test=np.full(16, 90.0))
    quality = audit_answers(ours, theirs, **FEW)["audits"]["forgetting_quality"]
    assert quality["final_score"] == pytest.approx(0.5 * quality["figure"], abs=1e-4)


def test_the_reference_codes_way_is_named_and_taken():
    ours, theirs = models(1, True), models(0, False)
    plain, theirs_way = (audit_answers(ours, theirs, reference_compatible=each, **FEW) for each in (False, True))
    assert theirs_way["reference_compatible"] and not plain["reference_compatible"]
    assert plain["audits"]["klom"]["figure"] != theirs_way["audits"]["klom"]["figure"]
    assert "on_the_reference_grids" in theirs_way["audits"]["forgetting_quality"]


def test_it_is_printed_and_saved(tmp_path):
    found = audit_answers(models(2, True), models(0, False), on_halves(0, 4.0), **FEW)
    shown = str(found)
    assert "Verdict: FAILS" in shown and "U-LiRA" in shown and "KLoM" in shown and "Forgetting quality" in shown
    found.save(tmp_path / "audit.json")
    assert json.loads((tmp_path / "audit.json").read_text()) == found


def test_too_few_models_and_rounds_are_refused():
    with pytest.raises(UnlearningError, match="7 unlearned models; an audit takes at least 8"):
        audit_answers(models(0, False, 7), models(1, False, 7))
    with pytest.raises(UnlearningError, match="rounds is 10; expected at least 60"):
        audit_answers(models(0, False), models(1, False), rounds=10)


def test_answers_of_logits():
    logits = {"forget": np.array([[2.0, 0.0], [0.0, 1.0]]), "test": np.array([[0.0, 1.0]])}
    labels = {"forget": np.array([0, 0]), "test": np.array([1])}
    both = Answers.together([Answers.of(logits, labels)] * 3)
    assert both.margins["forget"].shape == (3, 2) and len(both) == 3
    np.testing.assert_allclose(both.margins["forget"][0], [2, -1])
    assert both.mean_accuracies() == {"forget": 50.0, "test": 100.0}
    with pytest.raises(UnlearningError, match="expected forget"):
        Answers.of({"test": logits["test"]}, labels)


def test_a_permutation_test_is_one_of_ranks():
    labels = np.arange(12) < 6
    there, chance = permuted(lambda called: float(called[:6].sum()), labels, rounds=99)
    assert there == 6 and chance.expected == 3 and chance.p == pytest.approx(0.01, abs=0.011)
    assert permuted(lambda called: 1.0, labels, rounds=99)[1].p == 1.0
