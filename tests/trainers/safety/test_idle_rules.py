"""A stop rule either can end the run that it is given to, or is refused before it."""

from __future__ import annotations

import itertools

import pytest
from transformers import TrainerControl, TrainerState

from hf_unlearn import UnlearningError
from hf_unlearn.trainers.methods.lotus_forget import Tempering
from hf_unlearn.trainers.registry import METHODS
from hf_unlearn.trainers.safety.stopping import attach_figures
from tests.tiny import make_dataset
from tests.trainers.methods.test_mu_mis import make_trainer
from tests.trainers.runs import AT_ONCE, make

RULES = ["round", "steps", "forget_accuracy", "loss_drop", "irrelevant_recovery", "plateau", "unseen"]
OBJECTIVES = ["matched", "anchored", "difference", "log_ratio"]
COMBINATIONS = [
    (rule, name, objective)
    for rule, name in itertools.product(RULES, METHODS)
    for objective in (OBJECTIVES if name == "mu_mis" else [None])
]
# Courses of a batch's means, one of which makes each rule stop.
FALLING = [{"correct": 1.0 - s / 40, "confidence": 1.0 - s / 40, "loss": -float(s)} for s in range(40)]
FLAT = [{"correct": 0.0, "confidence": 0.5, "loss": 0.0} for _ in range(40)]
DIPPING = [{"correct": 1.0, "confidence": 0.9, "loss": 0.0} | {"irrelevant_sensitivity": v} for v in [1, 0.1, 4] * 13]


def cannot_fire(rule, name, objective):
    if name in ("fine_tune", "l1_sparse", "retrain", "cola", *AT_ONCE):
        return rule != "steps"
    if rule == "irrelevant_recovery":
        return objective in (None, "matched")
    return rule == "round" and name in ("neggrad_plus", "salun", "scrub", "bad_teacher", "amun", "lotus", "regun")


def can_stop(trainer, course):
    """Whether the trainer's rule ends a run whose figures are those that the method really follows."""
    # LoTUS has a rule of its own besides, at the ends of passes.
    (rule,) = [each for each in trainer._stop_rules if not each.fatal and not isinstance(each, Tempering)]
    rule.reset()
    control, state, followed = TrainerControl(), TrainerState(), trainer.figures(trainer.args)
    for means in course:
        known = {k: v for k, v in means.items() if k in ("correct", "confidence", "loss", *followed)}
        attach_figures(state, {name: 8 * value for name, value in known.items()} | {"samples": 8.0})
        rule.on_step_end(trainer.args, state, control)
    return control.should_training_stop


@pytest.mark.parametrize(("rule", "name", "objective"), COMBINATIONS)
def test_a_rule_can_end_the_run_or_is_refused(tmp_path, rule, name, objective):
    settings = {} if objective is None else {"objective": objective}
    steps = {} if name in AT_ONCE else {"max_steps": 40, "num_rounds": 4}
    settings |= {**steps, "stop_rule": rule, "lr_scheduler_type": "constant"}
    try:
        trainer = make(tmp_path, name, unseen=make_dataset(4), target_forget_accuracy=50.0, **settings)
    except UnlearningError as error:
        told = str(error)
        assert "stop_rule" in told and repr(rule) in told and "expected" in told and "\n" not in told
        assert cannot_fire(rule, name, objective)
        return
    assert not cannot_fire(rule, name, objective)
    assert rule == "steps" or any(can_stop(trainer, course) for course in (FALLING, FLAT, DIPPING))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("weight", [None, 0.0])
def test_the_figures_that_are_named_are_the_figures_that_are_followed(tmp_path, objective, weight):
    weights = {"sensitivity_weight": weight} | ({"guard_weight": 1.0} if weight == 0.0 else {})
    trainer = make_trainer(tmp_path, objective=objective, max_steps=1, **weights)
    trainer.train()
    logged = next(entry for entry in trainer.state.log_history if "loss" in entry)
    assert {name for name in logged if "sensitivity" in name} == set(trainer.figures(trainer.args))


def test_a_sensitivity_without_weight_is_not_measured(tmp_path):
    named = "method 'mu_mis' with objective 'anchored' and sensitivity_weight 0.0 does not measure"
    with pytest.raises(UnlearningError, match=named):
        make_trainer(tmp_path, objective="anchored", sensitivity_weight=0.0, stop_rule="irrelevant_recovery")


def test_unseen_needs_unseen_samples(tmp_path):
    with pytest.raises(UnlearningError, match="no labelled unseen samples were given"):
        make_trainer(tmp_path, stop_rule="unseen")
    with pytest.raises(UnlearningError, match="the unseen set is empty"):
        make(tmp_path, "delete", unseen=make_dataset(4).select([]))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"stop_rule": "forget_accuracy", "max_steps": 1}, "10 forget samples, but the run has 1 steps of 8 samples"),
        ({"stop_rule": "plateau", "num_train_epochs": 3}, "then at 10 steps, but the run has 6 steps"),
        ({"stop_rule": "loss_drop", "num_train_epochs": 0.5}, "expected at least 2 steps"),
        ({"stop_rule": "loss_drop", "stop_delta": -1.0}, "stop_delta is -1.0"),
        ({"stop_rule": "loss_drop", "stop_delta": float("nan")}, "stop_delta is nan"),
    ],
)
def test_a_run_that_ends_before_the_rule_can_see_enough(tmp_path, settings, named):
    with pytest.raises(UnlearningError, match=named):
        make(tmp_path, "delete", **settings)


def test_a_shorter_window_makes_it_possible(tmp_path):
    settings = {"stop_rule": "forget_accuracy", "max_steps": 1, "target_forget_accuracy": 100.0}
    trainer = make(tmp_path, "delete", stop_window=8, **settings)
    trainer.train()
    assert "over the latest 8 samples" in trainer.stop_reason


def test_a_rule_that_was_changed_before_the_run_is_looked_at_again(tmp_path):
    trainer = make_trainer(tmp_path)
    trainer.args.stop_rule = "irrelevant_recovery"
    with pytest.raises(UnlearningError, match="does not measure the irrelevant sensitivity"):
        trainer.train()
