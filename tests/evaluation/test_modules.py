"""The metrics through the `evaluate` library."""

from __future__ import annotations

import math

import evaluate
import numpy as np
import pytest

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.attacks.membership import loss_attack
from hf_unlearn.evaluation.modules import MODULES, JSDivergence, MembershipTPR, MIALoss, module_path

RNG = np.random.default_rng(0)
SETS = np.repeat([0, 1, 2], 100)
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]])
# Inputs of each module, and what it must say of them.
CASES = {
    "forget_accuracy": ([0, 1, 2, 2], [0, 1, 0, 0], 50.0),
    "unlearning_accuracy": ([0, 1, 2, 2], [0, 1, 2, 0], 25.0),
    "average_gap": ([3.0, 88.0, 80.0], [0.0, 90.0, 81.0], 2.0),
    "tug_of_war": ([10.0, 90.0, 80.0], [0.0, 100.0, 100.0], 0.648),
    "kl_divergence": (np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]), 0.25 * math.log(0.5) + 0.75 * math.log(1.5)),
    "js_divergence": ([[900.0, 0.0]], [[0.0, 900.0]], math.log(2)),
    "zero_retrain_forgetting": ([[900.0, 0.0]], [[0.0, 900.0]], 1 - math.log(2)),
    "activation_distance": (np.log([[0.5, 0.5]]), np.log([[0.2, 0.8]]), math.hypot(0.3, 0.3)),
    "completeness": ([[2.0, 1.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 0.0]], 50.0),
    "modified_entropy": (np.log([[0.5, 0.5]]), [1], math.log(2)),
    "mia_entropy": (np.r_[np.zeros(100), np.zeros(100), np.ones(100)], SETS, 100.0),
    "mia_confidence": (np.r_[np.zeros(100), np.ones(100), np.zeros(100)], SETS, 100.0),
    "mia_loss": (np.r_[np.zeros(100), np.ones(100), np.ones(100)], SETS, 100.0),
    "membership_auc": (np.r_[np.ones(50), np.zeros(50), np.ones(100), np.zeros(100)], SETS, 75.0),
    "membership_tpr": (np.r_[np.ones(50), np.zeros(50), np.ones(100), np.zeros(100)], SETS, 50.0),
    "residual_contribution": ([3.0, 5.0], [1.0, 3.0], 2.0),
    "relearn_time": ([2.0], [8.0], 0.25),
    "runtime_efficiency": ([5.0], [20.0], 0.25),
}


def test_every_module_has_a_case():
    assert CASES.keys() == MODULES.keys()


@pytest.mark.parametrize("name", CASES)
def test_loaded_by_path_it_says_what_it_must(name):
    predictions, references, expected = CASES[name]
    module = evaluate.load(module_path(), name)
    assert module.compute(predictions=predictions, references=references) == {name: pytest.approx(expected)}
    # Its description is the class's, and says in which unit.
    assert module.description == (MODULES[name].__doc__ or "").strip() and module.config_name == name


def test_imported_and_fed_in_batches():
    metric = JSDivergence()
    logits, others = RNG.normal(size=(10, 3)), RNG.normal(size=(10, 3))
    for rows in (slice(0, 4), slice(4, 10)):
        metric.add_batch(predictions=logits[rows], references=others[rows])
    whole = JSDivergence().compute(predictions=logits, references=others)
    assert metric.compute()["js_divergence"] == pytest.approx(whole["js_divergence"])


def test_combined():
    names = ("js_divergence", "kl_divergence", "activation_distance", "completeness")
    together = evaluate.combine([evaluate.load(module_path(), name) for name in names])
    logits = np.log(PROBABILITIES)
    assert together.compute(predictions=logits, references=logits) == {
        "js_divergence": pytest.approx(0),
        "kl_divergence": pytest.approx(0),
        "activation_distance": pytest.approx(0),
        "completeness": 100.0,
    }


def test_settings_reach_the_function():
    values = RNG.normal(size=300)
    forget, test = values[SETS == 0], values[SETS == 2]
    found = MIALoss().compute(predictions=values, references=SETS, seed=3)
    assert found["mia_loss"] == pytest.approx(loss_attack(forget, test, seed=3))
    rates = [MembershipTPR().compute(predictions=values, references=SETS, fpr=fpr) for fpr in (0.01, 0.5)]
    assert rates[0]["membership_tpr"] < rates[1]["membership_tpr"]


def test_in_a_trainers_compute_metrics(tmp_path):
    from transformers import Trainer, TrainingArguments

    from hf_unlearn.data.pixels import PixelDataset, collate
    from hf_unlearn.evaluation.modules import ForgetAccuracy, ModifiedEntropy
    from tests.tiny import make_dataset, make_model, make_processor

    def compute_metrics(prediction):
        logits, labels = prediction
        return {
            **ForgetAccuracy(keep_in_memory=True).compute(predictions=logits.argmax(-1), references=labels),
            **ModifiedEntropy(keep_in_memory=True).compute(predictions=logits, references=labels),
        }

    def without_index(items):
        batch = collate(items)
        batch.pop("index")
        return batch

    args = TrainingArguments(
        str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True, remove_unused_columns=False
    )
    args.dataloader_pin_memory = False
    pixels = PixelDataset(make_dataset(12), make_processor(), "image", "label", range(4))
    trainer = Trainer(make_model(), args, data_collator=without_index, compute_metrics=compute_metrics)
    found = trainer.evaluate(pixels)
    assert 0 <= found["eval_forget_accuracy"] <= 100 and found["eval_modified_entropy"] > 0


def test_an_unknown_name_is_refused():
    with pytest.raises(UnlearningError, match="did you mean 'js_divergence'"):
        module_path("js_divergense")
    with pytest.raises(UnlearningError, match="did you mean 'js_divergence'"):
        evaluate.load(module_path(), "js_divergense")
    # As it was loaded when each had a folder of its own.
    with pytest.raises(UnlearningError, match=r"config_name None .* evaluate.load\(module_path\(\), 'js_divergence'\)"):
        evaluate.load(module_path("js_divergence"))
