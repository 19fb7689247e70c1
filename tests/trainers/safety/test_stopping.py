"""Stop rules on figures made by hand, cut and continued at any step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_unlearn.trainers.safety.stopping import (
    ForgetAccuracyStop,
    IrrelevantRecoveryStop,
    LossDropStop,
    PlateauStop,
    RoundStop,
    UnseenStop,
    attach_figures,
)

BATCH = 10


def run(rule, name, values, cut=None):
    """Steps made until the rule stops, feeding the batch means `values` of the figure `name`; 0 if it does not."""
    control, state = TrainerControl(), TrainerState()
    for step, value in enumerate(values, start=1):
        if step == cut:
            saved = rule.state()
            rule = type(rule)(**saved["args"])
            for attribute, kept in saved["attributes"].items():
                setattr(rule, attribute, kept)
        attach_figures(state, {name: value * BATCH, "samples": BATCH})
        rule.on_step_end(TrainingArguments("unused"), state, control)
        if control.should_training_stop:
            assert rule.reason
            return step
    assert rule.reason is None
    return 0


def test_forget_accuracy_over_a_window():
    # Two batches a window: 0.5 and 0.02 are 26 %, 0.02 and 0.01 are 1.5 %.
    assert run(ForgetAccuracyStop(2.0, 20), "correct", [0.9, 0.5, 0.02, 0.01, 0.0]) == 4
    assert run(ForgetAccuracyStop(2.0, 20), "correct", [0.0]) == 0, "less than a window is no evidence"


def test_rounds_end_where_the_steps_are_short():
    # Forgotten at step 2 already, but a round is three steps.
    assert run(RoundStop(2.0, [3, 6, 9], BATCH), "correct", [0.9, 0.0, 0.0, 0.0]) == 3
    # Not forgotten at the end of the first round: the second is made to its end.
    assert run(RoundStop(2.0, [3, 6, 9], BATCH), "correct", [0.9, 0.5, 0.2, 0.0, 0.0, 0.0, 0.0]) == 6


def test_loss_drop():
    assert run(LossDropStop(1.0, BATCH), "loss", [5.0, 4.5, 4.01, 4.0, 3.0]) == 4


def test_irrelevant_recovery_waits_for_the_dip():
    # Squared sensitivities: ratios 1, 0.5, 0.8, 1.1.
    assert run(IrrelevantRecoveryStop(1.0, BATCH), "irrelevant_sensitivity", [4.0, 1.0, 2.56, 4.84]) == 4
    # The case that METHOD's figures show: it grows from the start. The rule never fires.
    assert run(IrrelevantRecoveryStop(1.0, BATCH), "irrelevant_sensitivity", [4.0, 5.0, 9.0, 40.0]) == 0


def test_unseen():
    assert run(UnseenStop(0.85, BATCH), "confidence", [0.99, 0.9, 0.86, 0.84]) == 4


def test_plateau():
    assert run(PlateauStop(3, 0.02, BATCH), "confidence", [0.9, 0.5, 0.5, 0.495, 0.49]) == 5
    assert run(PlateauStop(3, 0.02, BATCH), "confidence", [0.9, 0.8, 0.7, 0.6, 0.5]) == 0


RULES = {
    "correct": lambda: ForgetAccuracyStop(40.0, 25),
    "correct by rounds": lambda: RoundStop(40.0, [4, 7, 11, 30], 25),
    "loss": lambda: LossDropStop(0.3, 25),
    "irrelevant_sensitivity": lambda: IrrelevantRecoveryStop(0.9, 25),
    "confidence against unseen": lambda: UnseenStop(0.5, 25),
    "confidence": lambda: PlateauStop(3, 0.05, 25),
}


@pytest.mark.parametrize("name", list(RULES))
@given(values=st.lists(st.floats(0.01, 1), min_size=1, max_size=30), cut=st.integers(1, 30))
def test_a_resumed_run_stops_at_the_same_step(name, values, cut):
    figure = name.partition(" ")[0]
    assert run(RULES[name](), figure, values, cut) == run(RULES[name](), figure, values)


@pytest.mark.parametrize("name", list(RULES))
def test_a_step_without_figures_is_no_step(name):
    rule, control = RULES[name](), TrainerControl()
    rule.on_step_end(TrainingArguments("unused"), TrainerState(), control)
    assert not control.should_training_stop


@pytest.mark.parametrize("name", list(RULES))
def test_a_step_on_retained_samples_alone_says_nothing(name):
    rule, control, state = RULES[name](), TrainerControl(), TrainerState()
    attach_figures(state, {figure.partition(" ")[0]: 0.0 for figure in RULES} | {"samples": 0.0})
    before = rule.state()
    rule.on_step_end(TrainingArguments("unused"), state, control)
    assert not control.should_training_stop and rule.state() == before
