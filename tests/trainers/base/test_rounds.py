"""One list of rounds: where the steps are shortest is where a run may stop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TrainerControl, TrainerState, get_scheduler

from hf_unlearn import MUMisConfig, UnlearningError
from hf_unlearn.trainers.base.rounds import length_of_step, round_ends
from hf_unlearn.trainers.safety.stopping import attach_figures, make_stop_rule
from tests.trainers.methods.test_mu_mis import make_trainer

RUNS = st.tuples(st.integers(1, 1200), st.integers(1, 80), st.integers(0, 1199)).filter(lambda run: run[2] < run[0])


def first_stop(rule, forgotten_after):
    """The step at which a run ends whose forget set is recognised up to a step, and not after it."""
    control, state, step = TrainerControl(), TrainerState(), 0
    while not control.should_training_stop and step < rule.ends[-1]:
        step += 1
        attach_figures(state, {"correct": float(step <= forgotten_after), "samples": 1.0})
        rule.on_step_end(None, state, control)
    return step


@given(RUNS)
def test_a_round_ends_at_its_shortest_step(run):
    steps, rounds, warmup = run
    ends = round_ends(steps, rounds, warmup)
    assert ends == sorted(set(ends)) and ends[-1] == steps and len(ends) == min(rounds, steps - warmup)
    lengths = [length_of_step(step, ends, warmup) for step in range(steps)]
    grown = lengths[:warmup]
    assert grown == sorted(grown) and all(length < 1 for length in grown)
    sizes = set()
    for start, end in zip([warmup, *ends], ends, strict=False):
        falling = lengths[start:end]
        assert falling == sorted(falling, reverse=True), "it falls to the end of the round"
        assert end == steps or lengths[end] >= max(falling[-1], 0.9 if end - start > 8 else 0)
        sizes.add(end - start)
    assert max(sizes) - min(sizes) <= 1


@given(RUNS, st.integers(0, 1200))
def test_a_run_stops_at_the_end_of_a_round(run, forgotten_after):
    steps, rounds, warmup = run
    length = {"max_steps": steps, "num_rounds": rounds, "warmup_steps": warmup}
    args = MUMisConfig("unused", stop_rule="round", use_cpu=True, **length)
    ends = args.round_ends(steps)
    rule = make_stop_rule(args, num_samples=1)
    expected = next((end for end in ends if end > forgotten_after), steps)
    assert first_stop(rule, forgotten_after) == expected


@pytest.mark.parametrize(("steps", "rounds"), [(180, 3), (60, 1), (250, 4), (400, 7), (1000, 17)])
def test_the_schedule_is_the_one_of_transformers(steps, rounds):
    args = MUMisConfig("unused", max_steps=steps, use_cpu=True)
    assert len(args.round_ends(steps)) == rounds
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = get_scheduler(
        "cosine_with_restarts", optimizer, 0, steps, scheduler_specific_kwargs={"num_cycles": rounds}
    )
    lengths = [length_of_step(step, args.round_ends(steps)) for step in range(steps + 1)]
    assert lengths == [theirs.lr_lambdas[0](step) for step in range(steps + 1)]


def test_the_trainer_takes_the_same_list(tmp_path):
    settings = {"max_steps": 25, "num_rounds": 3, "warmup_steps": 4, "stop_rule": "round"}
    trainer = make_trainer(tmp_path, target_forget_accuracy=0.0, **settings)
    trainer.train()
    logged = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    ends = trainer.args.round_ends(25)
    rate = trainer.args.learning_rate
    assert logged == pytest.approx([rate * length_of_step(step, ends, 4) for step in range(25)])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial"])
def test_a_schedule_that_falls_once_is_one_round(schedule):
    args = MUMisConfig("unused", max_steps=250, stop_rule="round", lr_scheduler_type=schedule, use_cpu=True)
    assert make_stop_rule(args, 8).ends == [250]
    with pytest.raises(UnlearningError, match=f"num_rounds is 3, but with lr_scheduler_type '{schedule}'"):
        MUMisConfig("unused", max_steps=250, lr_scheduler_type=schedule, num_rounds=3, use_cpu=True)


def test_steps_of_one_length_may_stop_after_any_round():
    settings = {"max_steps": 9, "num_rounds": 3, "stop_rule": "round"}
    args = MUMisConfig("unused", lr_scheduler_type="constant", use_cpu=True, **settings)
    assert make_stop_rule(args, 8).ends == [3, 6, 9]


def test_rounds_said_as_cycles():
    cycles = {"lr_scheduler_kwargs": {"num_cycles": 5}, "max_steps": 100, "use_cpu": True}
    assert MUMisConfig("unused", **cycles).round_ends(100) == [20, 40, 60, 80, 100]
    assert MUMisConfig("unused", num_rounds=5, **cycles).round_ends(100) == [20, 40, 60, 80, 100]
    with pytest.raises(UnlearningError, match=r"lr_scheduler_kwargs is \{'num_cycles': 5\}"):
        MUMisConfig("unused", num_rounds=4, **cycles)


def test_a_warm_up_without_an_end_is_refused(tmp_path):
    with pytest.raises(UnlearningError, match="warmup_steps takes 20 steps, but the run has 20"):
        make_trainer(tmp_path, max_steps=20, warmup_steps=20)
