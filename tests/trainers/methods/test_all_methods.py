"""What holds for every method: batches, restarts, retained samples, what is written about it."""

from __future__ import annotations

import dataclasses
import re
import typing

import pytest
import torch

import hf_unlearn
import hf_unlearn.trainers
from hf_unlearn import DivergenceError, UnlearningError
from hf_unlearn.trainers.registry import METHOD_HELP, METHODS, settings_of
from tests.tiny import make_dataset, make_model, make_processor
from tests.trainers.methods.test_mu_mis import weights
from tests.trainers.runs import (
    GRADIENT,
    MIXING,
    NUM_FORGET,
    NUM_RETAIN,
    RETAIN_FREE,
    RETAINING,
    WITH_UNSEEN,
    make,
    parts,
)


@pytest.fixture
def untrained(monkeypatch):
    """An untrained model has no rest that could be damaged."""
    monkeypatch.setattr("hf_unlearn.trainers.base.trainer.UnlearningTrainer.least_agreement", 0.0)


@pytest.mark.parametrize("name", [name for name in GRADIENT if name not in MIXING])
def test_batches_and_accumulation_change_nothing(tmp_path, untrained, name):
    # Ten forget and eighteen retained samples: neither is a whole number of steps.
    settings = {"optim": "sgd", "learning_rate": 0.05, "max_steps": 5, "lr_scheduler_type": "constant"}
    whole = make(tmp_path, name, **settings)
    split = make(tmp_path, name, per_device_train_batch_size=2, gradient_accumulation_steps=4, **settings)
    before = weights(whole)
    for trainer in (whole, split):
        trainer.train()
        assert trainer.state.global_step == 5
    torch.testing.assert_close(weights(split), weights(whole), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(weights(whole), before, rtol=1e-4, atol=1e-6), "it moved at all"


@pytest.mark.parametrize("name", ["delete", "neggrad_plus", "scrub", "salun"])
def test_what_does_not_fill_a_step_can_be_left_out(tmp_path, untrained, name):
    settings = {"optim": "sgd", "learning_rate": 0.05, "num_train_epochs": 2, "dataloader_drop_last": True}
    steps = {"delete": 2 * 1, "neggrad_plus": 4 * NUM_RETAIN // 8, "scrub": 2 * 2 + 2 * 3, "salun": 2 * 3}[name]
    runs = []
    for batch, accumulation in ((8, 1), (4, 2)):
        layout = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        trainer = make(tmp_path, name, **layout, **settings)
        trainer.train()
        assert trainer.state.global_step == steps
        runs.append(weights(trainer))
    torch.testing.assert_close(*runs, rtol=1e-4, atol=1e-6)


def test_leaving_out_everything_is_refused(tmp_path):
    trainer = make(tmp_path, "delete", per_device_train_batch_size=16, dataloader_drop_last=True)
    with pytest.raises(UnlearningError, match="10 samples do not fill a step of 16"):
        trainer.train()


@pytest.mark.parametrize("name", GRADIENT)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path, untrained, name):
    settings = {"max_steps": 6, "learning_rate": 1e-3, "save_strategy": "steps", "save_steps": 3}
    whole = make(tmp_path, name, **settings)
    whole.train()
    resumed = make(tmp_path, name, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert resumed.state.global_step == 6
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize("name", ["neggrad_plus", "scrub", "retrain"])
def test_a_run_of_passes_can_be_resumed(tmp_path, untrained, name):
    settings = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 2}
    whole = make(tmp_path, name, **settings)
    whole.train()
    resumed = make(tmp_path, name, **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.args.max_steps == -1, "what was asked for stands in the record"


@pytest.mark.parametrize("name", GRADIENT)
def test_passes_go_over_the_right_samples(tmp_path, untrained, name):
    trainer = make(tmp_path, name, num_train_epochs=2)
    seen = []
    loss = trainer.unlearning_loss

    def spy(model, inputs):
        seen.extend(inputs["index"].tolist())
        for index, label in zip(inputs["index"].tolist(), inputs["labels"].tolist(), strict=True):
            assert (label == 0) == (index < NUM_FORGET)
        return loss(model, inputs)

    trainer.unlearning_loss = spy
    trainer.train()
    forgotten, kept = [i for i in seen if i < NUM_FORGET], [i for i in seen if i >= NUM_FORGET]
    everything = set(range(NUM_FORGET)), set(range(NUM_FORGET, NUM_FORGET + NUM_RETAIN))
    assert set(forgotten) == (set() if trainer.trains_on == "retain" else everything[0])
    if trainer.trains_on != "forget":
        assert set(kept) <= everything[1] and (name in ("bad_teacher", "lotus") or set(kept) == everything[1])
    expected = {"forget": NUM_FORGET, "retain": NUM_RETAIN, "both": NUM_FORGET + NUM_RETAIN}[trainer.trains_on]
    if name == "neggrad_plus":
        expected = 2 * NUM_RETAIN
    elif name == "regun":
        expected = 2 * NUM_FORGET
    elif name == "scrub":
        expected = 16 + 24  # each phase filled up to whole steps of eight
    elif name in ("bad_teacher", "lotus"):
        expected = NUM_FORGET + 5  # 30 % of eighteen
    assert len(seen) == 2 * expected


class Forbidden:
    """A retain set that must not be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the retain set was asked for {name}")

    def __len__(self):
        raise AssertionError("the retain set was measured")


@pytest.mark.parametrize("name", [*RETAIN_FREE, "mu_mis"])
def test_retain_free_methods_never_look_at_the_retain_set(tmp_path, untrained, name):
    method = METHODS[name]
    args = getattr(hf_unlearn.trainers, method.config)(
        output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=1, dataloader_pin_memory=False
    )
    trainer = getattr(hf_unlearn.trainers, method.trainer)(
        make_model("vit"), args, train_dataset=parts()[0], processing_class=make(tmp_path, "delete").processing_class,
        retain_dataset=Forbidden(), forget_kind="class",
        reference_dataset=make_dataset(40, seed=5) if name in WITH_UNSEEN else None,
    )  # fmt: skip
    trainer.train()
    assert trainer.record()["retain_free"] is True


@pytest.mark.parametrize("name", RETAINING)
def test_methods_that_need_retained_samples_say_so(tmp_path, name):
    for retain, named in ((None, "there are none"), (parts()[1].select([]), "retain set is empty")):
        method = METHODS[name]
        args = getattr(hf_unlearn.trainers, method.config)(output_dir=str(tmp_path), use_cpu=True)
        with pytest.raises(UnlearningError, match=named) as caught:
            getattr(hf_unlearn.trainers, method.trainer)(
                make_model("vit"),
                args,
                train_dataset=parts()[0],
                retain_dataset=retain,
                processing_class=make_processor(),
                forget_kind="class",
            )
        assert "\n" not in str(caught.value) and (retain is not None or name in str(caught.value))


def test_the_registry_and_the_trainers_agree():
    for name, method in METHODS.items():
        trainer, config = (getattr(hf_unlearn, found) for found in (method.trainer, method.config))
        assert trainer.method_name == name and trainer.retain_free == method.retain_free
        assert trainer.config_class is config
        read = {field.name: field for field in dataclasses.fields(settings_of(method.module, method.config))}
        made = {field.name: field for field in dataclasses.fields(config)}
        hints = typing.get_type_hints(config)
        read_hints = typing.get_type_hints(settings_of(method.module, method.config))
        for field in read.values():
            assert made[field.name].default == field.default
            # Not the field's type, in whose place a parser of flags writes another.
            assert hints[field.name] == read_hints[field.name]
            assert dict(made[field.name].metadata) == dict(field.metadata)
        help_of = {field.name for field in made.values() if field.metadata.get("help")}
        assert {"push_anyway", "stop_rule"} <= read.keys() <= help_of
        assert {method.trainer, method.config} <= set(hf_unlearn.__all__)
    assert len({trainer.title for trainer in map(lambda m: getattr(hf_unlearn, m.trainer), METHODS.values())}) == len(
        METHODS
    )
    free, needing = (re.findall(r"\w+", part.split(":")[1]) for part in METHOD_HELP.split(". With"))
    assert (free, needing) == (["mu_mis", *RETAIN_FREE], RETAINING)


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("jit", {"noise_deviation": 0.0}, "noise_deviation is 0.0"),
        ("jit", {"noise_draws": 0}, "noise_draws is 0"),
        ("boundary_shrink", {"fgsm_bound": -1.0}, "fgsm_bound is -1.0"),
        ("salun", {"salient_share": 0.0}, "salient_share is 0.0"),
        ("salun_forget", {"salient_share": 1.1}, "salient_share is 1.1"),
        ("l1_sparse", {"l1_weight": -1.0}, "l1_weight is -1.0"),
        ("neggrad_plus", {"retain_share": 2.0}, "retain_share is 2.0"),
        ("neggrad_plus", {"per_device_train_batch_size": 7}, "per_device_train_batch_size is 7; expected an even"),
        ("regun", {"per_device_train_batch_size": 7}, "per_device_train_batch_size is 7; expected an even"),
        ("regun", {"forget_weight": -1.0}, "forget_weight is -1.0"),
        ("regun", {"retain_weight": -1.0}, "retain_weight is -1.0"),
        ("scrub", {"max_passes": -1}, "max_passes is -1"),
        ("scrub", {"temperature": 0.0}, "temperature is 0.0"),
        ("bad_teacher", {"retain_fraction": 0.0}, "retain_fraction is 0.0"),
        ("bad_teacher", {"temperature": float("nan")}, "temperature is nan"),
        ("ssd", {"alpha": -1.0}, "alpha is -1.0"),
        ("ssd", {"dampening": -1.0}, "dampening is -1.0"),
        ("ssd", {"importance_batch_size": 0}, "importance_batch_size is 0"),
        ("ssd", {"max_steps": 2}, "max_steps is 2"),
        ("esc", {"stop_rule": "round"}, "stop_rule is 'round'; expected 'steps'"),
        ("esc", {"erased_percent": 0.0}, "erased_percent is 0.0"),
        ("esc_t", {"mask_passes": 0}, "mask_passes is 0"),
        ("esc_t", {"mask_learning_rate": 0.0}, "mask_learning_rate is 0.0"),
        ("esc_t", {"mask_batch_size": 0}, "mask_batch_size is 0"),
        ("esc_t", {"mask_threshold": 1.0}, "mask_threshold is 1.0"),
        ("spotter", {"own_weight": 1.5}, "own_weight is 1.5"),
        ("spotter", {"dispersion_weight": -1.0}, "dispersion_weight is -1.0"),
        ("spotter", {"perturbation": 0.0}, "perturbation is 0.0"),
        ("spotter", {"perturbation_step": 0.0}, "perturbation_step is 0.0"),
        ("spotter", {"perturbation_steps": -1}, "perturbation_steps is -1"),
        ("amun_forget", {"attack_radius": 0.0}, "attack_radius is 0.0"),
        ("amun", {"attack_steps": 0}, "attack_steps is 0"),
        ("lotus_forget", {"temperature_rate": -1.0}, "temperature_rate is -1.0"),
        ("lotus_forget", {"unseen_accuracy": 101.0}, "unseen_accuracy is 101.0"),
        ("lotus", {"retain_fraction": 2.0}, "retain_fraction is 2.0"),
        ("cola", {"collapse_passes": -1}, "collapse_passes is -1"),
        ("cola", {"contrast_temperature": 0.0}, "contrast_temperature is 0.0"),
        ("scar", {"distance_weight": -1.0}, "distance_weight is -1.0"),
        ("scar", {"distillation_weight": -1.0}, "distillation_weight is -1.0"),
        ("scar", {"tukey_power": 0.0}, "tukey_power is 0.0"),
        ("scar", {"shrinkage": -1.0}, "shrinkage is -1.0"),
        ("fine_tune", {"num_train_epochs": 0}, "num_train_epochs is 0"),
        ("fine_tune", {"stop_rule": "forget_accuracy"}, "sees no forget sample"),
        ("delete", {"stop_rule": "round"}, "max_steps is -1"),
        ("scrub", {"stop_rule": "round", "max_steps": 9}, "steps without forget samples"),
        ("delete", {"max_steps": 0}, "max_steps is 0"),
    ],
)
def test_values_out_of_range(tmp_path, name, settings, named):
    with pytest.raises(UnlearningError, match=named) as caught:
        make(tmp_path, name, **settings)
    assert "\n" not in str(caught.value)


def test_a_stop_rule_looks_at_forget_samples_alone(tmp_path, untrained):
    # In the phases on retained samples there is nothing to see; the rule must not take that for forgotten.
    settings = {"stop_rule": "forget_accuracy", "target_forget_accuracy": 100.0, "stop_window": 10}
    trainer = make(tmp_path, "scrub", num_train_epochs=2, **settings)
    trainer.train()
    assert trainer.state.global_step == 2 and "over the latest 10 samples" in trainer.stop_reason


def test_a_collapse_on_retained_samples_puts_the_original_weights_back(tmp_path):
    model = make_model("vit")
    with torch.no_grad():
        # A model that knows the retained samples, all of one class.
        model.classifier.bias[2] = 50.0
    forget, retain = parts()
    retain = retain.filter(lambda label: label == 2, input_columns="label")
    trainer = make(tmp_path, "neggrad_plus", model, forget, retain, retain_share=0.0, learning_rate=1.0, max_steps=1)
    before = weights(trainer)

    def ruin(*args, **kwargs):
        with torch.no_grad():
            model.classifier.bias[2] = -50.0

    trainer.unlearning_run = ruin
    with pytest.raises(DivergenceError, match="accuracy on retained samples 100 -> 0 %"):
        trainer.train()
    assert torch.equal(weights(trainer), before)


@pytest.mark.parametrize("name", ["gradient_ascent", "scrub", "retrain"])
def test_a_model_that_is_no_number_is_no_result(tmp_path, untrained, name):
    trainer = make(tmp_path, name)
    before = weights(trainer)

    def ruin(*args, **kwargs):
        with torch.no_grad():
            next(trainer.model.parameters()).fill_(float("nan"))

    trainer.unlearning_run = ruin
    with pytest.raises(DivergenceError, match="not finite"):
        trainer.train()
    assert torch.equal(weights(trainer), before)
