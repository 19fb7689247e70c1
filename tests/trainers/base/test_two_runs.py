"""Two runs of one trainer are those of two trainers: nothing is left of the first but the weights."""

from __future__ import annotations

import pytest
import torch
from transformers import TrainerCallback

from tests.tiny import make_model
from tests.trainers.methods.test_mu_mis import weights
from tests.trainers.runs import AT_ONCE, OTHERS, make


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """An untrained model has no rest that could be damaged."""
    monkeypatch.setattr("hf_unlearn.trainers.base.trainer.UnlearningTrainer.least_agreement", 0.0)


def settings_of(name):
    steps = {} if name in AT_ONCE else {"max_steps": 4, "gradient_accumulation_steps": 2}
    return {"learning_rate": 1e-3, "per_device_train_batch_size": 4, **steps}


def new(tmp_path, name, weights_of=None, dropout=0.3, **settings):
    model = make_model("vit")
    model.vit.embeddings.dropout.p = dropout
    trainer = make(tmp_path, name, model, **{**settings_of(name), **settings})
    if weights_of is not None:
        # The model as the first run left it, and the same original.
        trainer.model.load_state_dict(weights_of)
    return trainer


def figures(trainer):
    history = [{k: v for k, v in entry.items() if "train_" not in k} for entry in trainer.state.log_history]
    told = (trainer.forward_equivalents, trainer.agreement, getattr(trainer, "premise", None), trainer.stop_reason)
    return told, trainer.state.global_step, history


@pytest.mark.parametrize("name", ["mu_mis", *OTHERS])
def test_two_runs_of_one_trainer_are_two_trainers(tmp_path, name):
    twice, first = new(tmp_path, name), new(tmp_path, name)
    twice.train()
    torch.rand(7)  # what happens between runs does not matter
    twice.train()
    first.train()
    second = new(tmp_path, name, first.model.state_dict())
    second.train()
    assert torch.equal(weights(twice), weights(second))
    assert figures(twice) == figures(second)
    assert figures(twice)[0][0] == first.forward_equivalents
    # The control looks at nothing.
    assert (first.forward_equivalents > 0) == (name != "mask_logit")


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("name", ["mu_mis", "gradient_ascent"])
def test_a_run_that_was_cut_short_within_a_step_leaves_nothing(tmp_path, name):
    cut, whole = new(tmp_path, name), new(tmp_path, name)

    class Cut(TrainerCallback):
        def on_substep_end(self, *args, **kwargs):
            raise Interrupted

    cut.add_callback(Cut)
    with pytest.raises(Interrupted):
        cut.train()
    cut.remove_callback(Cut)
    cut.train()
    whole.train()
    assert torch.equal(weights(cut), weights(whole)) and figures(cut) == figures(whole)


def test_arguments_that_were_changed_between_runs_hold(tmp_path):
    changed = new(tmp_path, "mu_mis", max_steps=4)
    before = {name: value.clone() for name, value in changed.model.state_dict().items()}
    changed.train()
    changed.model.load_state_dict(before)
    later = {"max_steps": 6, "stop_rule": "round", "num_rounds": 2, "target_forget_accuracy": 100.0, "seed": 3}
    for name, value in later.items():
        setattr(changed.args, name, value)
    changed.train()
    fresh = new(tmp_path, "mu_mis", **later)
    fresh.train()
    assert fresh.state.global_step == 3 and "end of round 1" in fresh.stop_reason
    assert torch.equal(weights(changed), weights(fresh)) and figures(changed) == figures(fresh)


def test_an_optimizer_of_the_user_stays(tmp_path):
    model = make_model("vit")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    trainer = make(tmp_path, "delete", model, optimizers=(optimizer, None), max_steps=1)
    for _ in range(2):
        trainer.train()
        assert trainer.optimizer.optimizer is optimizer
