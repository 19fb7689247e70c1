"""Features of whole classes: what they are brought to, by which parts of the loss, and what becomes of the head."""

from __future__ import annotations

import copy
import logging
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn import UnlearningError
from hf_unlearn.data.pixels import collate
from hf_unlearn.models.head import find_head
from hf_unlearn.objectives import RelativeSGD, squared_input_sensitivities
from hf_unlearn.trainers.safety.unfamiliar import Exchange, nearest_exchange
from tests.tiny import make_dataset, make_model
from tests.trainers.methods.test_mu_mis import make_trainer, unlikely_sensitivity, weights

seeds = st.integers(0, 2**31)
# One class of the four.
RED = [0]


def red_trainer(tmp_path, model=None, **settings):
    forget = make_dataset(64).filter(lambda label: label in RED, input_columns="label")
    return make_trainer(tmp_path, model, forget, **settings)


@given(seed=seeds, size=st.integers(1, 40), most=st.integers(2, 50))
def test_an_exchange_is_a_permutation_within_kinds_that_lengthens_no_way(seed, size, most):
    draws = torch.Generator().manual_seed(seed)
    now, targets = (torch.randn(size, 3, generator=draws) for _ in range(2))
    kinds = torch.randint(3, (size,), generator=draws)
    taken = nearest_exchange(now, targets, kinds, most)
    assert taken.sort().values.tolist() == list(range(size))
    assert torch.equal(kinds[taken], kinds)
    before, after = ((now - each).square().sum() for each in (targets, targets[taken]))
    assert after <= before + 1e-4


def test_samples_take_the_targets_that_they_lie_on():
    targets = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    assert torch.equal(nearest_exchange(targets[order], targets, torch.zeros(12)), order)


def test_the_default_on_a_class_by_its_parts(tmp_path, architecture):
    trainer = red_trainer(tmp_path, make_model(architecture), max_steps=1)
    original = make_model(architecture)
    trainer.train()
    unfamiliar = trainer._unfamiliar
    head, features = find_head(original, trainer.train_dataset[0]["pixel_values"].unsqueeze(0)), []
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].flatten(1)))
    batch = collate([trainer.train_dataset[index] for index in range(6)])
    near = trainer._near(batch["pixel_values"], batch["labels"], batch["index"])
    with torch.no_grad():
        original(pixel_values=near)
    hook.remove()
    targets = unfamiliar.targets(batch["index"], trainer._stop_rules)
    with unfamiliar.at_work_on(trainer.model):
        model = trainer.model
        own = []
        catch = find_head(model, near[:1]).register_forward_pre_hook(lambda _, inputs: own.append(inputs[0].flatten(1)))
        pixels = batch["pixel_values"].clone().requires_grad_()
        logits = model(pixel_values=pixels).logits
        near_logits = model(pixel_values=near).logits
        catch.remove()
        expected = torch.nn.functional.kl_div(logits.log_softmax(1), targets.answers.exp(), reduction="batchmean")
        q = original(pixel_values=near).logits.index_fill(1, torch.tensor(RED), -math.inf).softmax(1)
        expected += 5 * torch.nn.functional.kl_div(near_logits.log_softmax(1), q, reduction="batchmean")
        for ours, theirs in ((own[0], targets.features), (own[1], features[0])):
            expected += 5 * (ours - theirs).square().sum(1).mean() / unfamiliar.scale
        (target,) = squared_input_sensitivities(logits, pixels, batch["labels"])
        expected += 0.1 * (target.log() - math.log(0.5 * unlikely_sensitivity(original, trainer))).square().mean()
        with trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(model.train(), batch)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


def test_features_come_to_their_targets_and_the_rest_stays_with_the_original(tmp_path):
    trainer = red_trainer(tmp_path, make_model("vit"), max_steps=60, num_rounds=2, learning_rate=1e-2)
    trainer.train()
    apart = [entry["features"] for entry in trainer.state.log_history if "features" in entry]
    assert apart[0] == pytest.approx(1.0, rel=0.3)
    assert sum(apart[-5:]) / 5 < 0.5


@pytest.mark.parametrize("checkpoint", [1, 2, 3])
def test_a_run_goes_on_over_an_exchange_as_if_it_had_not_been_cut(tmp_path, checkpoint):
    settings = {"max_steps": 6, "num_rounds": 3, "learning_rate": 1e-2}
    whole = red_trainer(tmp_path / "whole", **settings)
    whole.train()
    cut = red_trainer(tmp_path / "cut", save_strategy="steps", save_steps=checkpoint, **settings)
    cut.train()
    resumed = red_trainer(tmp_path / "cut", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "cut" / f"checkpoint-{checkpoint}"))
    assert torch.equal(weights(resumed), weights(whole))
    taken = [next(rule.taken for rule in each._stop_rules if isinstance(rule, Exchange)) for each in (whole, resumed)]
    assert taken[0] == taken[1] and taken[0] is not None


def test_the_head_stays_but_for_the_rows_that_go(tmp_path):
    trainer = red_trainer(tmp_path, make_model("vit"))
    before = copy.deepcopy(trainer.model.classifier)
    trainer.train()
    head = trainer.model.classifier
    assert torch.equal(head.weight[1:], before.weight[1:]) and torch.equal(head.bias[1:], before.bias[1:])
    assert not torch.equal(head.weight[0], before.weight[0])
    assert head.weight.requires_grad and head.bias.requires_grad


def test_a_head_that_was_frozen_stays_whole(tmp_path):
    model = make_model("vit")
    model.classifier.requires_grad_(False)
    before = copy.deepcopy(model.classifier)
    trainer = red_trainer(tmp_path, model)
    trainer.train()
    assert torch.equal(trainer.model.classifier.weight, before.weight)
    assert not trainer.model.classifier.weight.requires_grad


def test_where_the_head_alone_may_move_it_does(tmp_path):
    model = make_model("vit")
    model.requires_grad_(False)
    model.classifier.requires_grad_(True)
    body = copy.deepcopy(model.vit.state_dict())
    trainer = red_trainer(tmp_path, model)
    trainer.train()
    assert not torch.equal(trainer.model.classifier.weight[1:], make_model("vit").classifier.weight[1:])
    assert all(torch.equal(value, body[name]) for name, value in trainer.model.vit.state_dict().items())


def test_without_a_linear_head_the_answers_alone_change_and_the_log_says_so(tmp_path, caplog):
    model = make_model("vit")

    def halve(module, inputs, output):
        output.logits = output.logits / 2
        return output

    model.register_forward_hook(halve)
    trainer = red_trainer(tmp_path, model)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "the answers alone will change, no features" in caplog.text
    assert trainer._unfamiliar is None


def test_where_every_input_is_taken_for_the_class_the_answers_alone_change(tmp_path, caplog):
    model = make_model("vit")
    with torch.no_grad():
        model.classifier.bias[0] += 50.0
    trainer = red_trainer(tmp_path, model, learning_rate=1e-5)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "the bank has no input" in caplog.text
    # Then it is the run that changes the answers alone, and what is recorded says so.
    expected = {"features_weight": 0.0, "step_rule": "relative", "surroundings_weight": 1.0, "stop_rule": "round"}
    assert {name: getattr(trainer.args, name) for name in expected} == expected
    assert {name: trainer.filled_settings[name] for name in expected} == expected
    assert trainer.args.max_steps == 3
    assert type(trainer.optimizer.optimizer) is RelativeSGD


def test_where_all_classes_go_the_answers_alone_change(tmp_path, caplog):
    trainer = make_trainer(tmp_path, make_model("vit"))
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "no features: all classes go" in caplog.text and trainer._unfamiliar is None


@pytest.mark.parametrize("kind, settings", [("subset", {}), ("class", {"label_shift": 2.0})])
def test_features_of_samples_whose_label_stays_are_not_moved(tmp_path, kind, settings):
    assert red_trainer(tmp_path, kind=kind, **settings).args.features_weight == 0.0
    with pytest.raises(UnlearningError, match="features_weight is 2, but the labels of these samples stay in use"):
        red_trainer(tmp_path, kind=kind, features_weight=2.0, **settings)


def test_a_run_that_fails_leaves_the_head_free_to_move(tmp_path):
    trainer = red_trainer(tmp_path, make_model("vit"))

    class Cut(Exception):
        pass

    def cut(*_args, **_kwargs):
        raise Cut

    trainer.unlearning_loss = cut
    with pytest.raises(Cut):
        trainer.train()
    assert all(each.requires_grad for each in trainer.model.parameters())


def test_accumulation_over_an_exchange_changes_nothing_but_rounding(tmp_path):
    common = {"max_steps": 4, "num_rounds": 2, "learning_rate": 1e-3}
    whole = red_trainer(tmp_path / "whole", make_model("vit"), **common)
    parts = red_trainer(
        tmp_path / "parts",
        make_model("vit"),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        **{name: value for name, value in common.items()},
    )
    before = weights(whole)
    for trainer in (whole, parts):
        trainer.train()
    moved = [weights(trainer) - before for trainer in (whole, parts)]
    assert float((moved[0] - moved[1]).norm() / moved[0].norm()) < 1e-2


def test_a_second_run_goes_on(tmp_path):
    trainer = red_trainer(tmp_path, make_model("vit"))
    trainer.train()
    after = weights(trainer)
    trainer.train()
    assert not torch.equal(weights(trainer), after)


def test_an_adapter_around_the_head_leaves_the_features_alone(tmp_path, caplog):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj", "classifier"])
    trainer = red_trainer(tmp_path, peft.get_peft_model(make_model("vit"), config))
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert "an adapter lies around the classifier head" in caplog.text


def test_an_adapter_with_a_head_of_its_own_moves_features(tmp_path):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    trainer = red_trainer(tmp_path, peft.get_peft_model(make_model("vit"), config))
    trainer.train()
    assert trainer._unfamiliar is not None
    wrapped = trainer.model.base_model.model.classifier
    base, own = wrapped.original_module, wrapped.modules_to_save["default"]
    assert not torch.equal(own.weight[0], base.weight[0])
    assert torch.equal(own.weight[1:], base.weight[1:])


@pytest.mark.parametrize("kind", ["class", "subset"])
def test_earlier_classes_have_no_share_in_what_is_held(tmp_path, kind):
    trainer = red_trainer(tmp_path, make_model("vit"), kind=kind, label_shift=None if kind == "class" else 1.0)
    batch = collate([trainer.train_dataset[index] for index in range(4)])

    def loss_with(earlier):
        trainer.earlier_labels = torch.tensor(earlier, dtype=torch.long)
        with trainer.compute_loss_context_manager():
            return float(trainer.compute_loss(trainer.model.train(), dict(batch)))

    # With the original's own weights only what an earlier class is given keeps the divergences from what they were.
    assert loss_with([3]) > loss_with([]) + 1e-3


def test_features_that_are_not_finite_are_not_compared(tmp_path):
    trainer = red_trainer(tmp_path, make_model("vit"), max_steps=4, num_rounds=2)
    trainer.train()
    exchange = next(rule for rule in trainer._stop_rules if isinstance(rule, Exchange))
    exchange.due, before = True, exchange.taken
    with trainer._unfamiliar.at_work_on(trainer.model):
        with torch.no_grad():
            trainer.model.vit.layernorm.weight.fill_(math.nan)
        trainer._unfamiliar.targets(torch.arange(2), [exchange])
    assert exchange.taken == before and not exchange.due
