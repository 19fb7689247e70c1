"""What MU-Mis's settings come to by the kind of request, and what the guard is told to lower."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from datasets import ClassLabel, DatasetDict

from hf_unlearn import FineTuneConfig, ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningError, make_splits
from hf_unlearn.publishing.settings import public_arguments
from hf_unlearn.trainers.registry import METHODS
from tests.tiny import LABELS, make_dataset, make_model, make_processor
from tests.trainers.methods.test_mu_mis import make_trainer
from tests.trainers.runs import AT_ONCE, make

OPEN = ("max_steps", "stop_rule", "label_shift", "sensitivity_weight", "step_rule", "features_weight")
WHOLE = {"max_steps": 360, "stop_rule": "steps", "label_shift": math.inf, "sensitivity_weight": 0.1}
WHOLE |= {"step_rule": "relative_adam", "features_weight": 5.0}
# The shift is measured sample by sample before the first step.
SUBSET = {"max_steps": 480, "stop_rule": "steps", "label_shift": None, "sensitivity_weight": 0.0}
SUBSET |= {"step_rule": "relative", "features_weight": 0.0}


def trainer_for(tmp_path, settings=None, **request):
    data = make_dataset(24)
    coarse = data.add_column("kind", [0 if label < 3 else 1 for label in data["label"]])
    names, label_column = LABELS, "label"
    if "subclasses" in request:
        names, label_column = ["colour", "none"], "kind"
        coarse = coarse.cast_column("kind", ClassLabel(names=names))
    splits = make_splits(DatasetDict(train=coarse), ForgetRequest(**request), label_column_name=label_column)
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, **settings or {})
    return MUMisTrainer(make_model(label_names=names), args, splits, processing_class=make_processor())


def settings_of(trainer):
    return {name: getattr(trainer.args, name) for name in OPEN}


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ({"classes": ("red",)}, WHOLE),
        # However it was asked for: these are all samples of the class red.
        ({"indices": tuple(range(0, 24, 4))}, WHOLE),
        ({"subclasses": ("red",), "subclass_column": "label"}, SUBSET),
        ({"fraction": 0.2}, SUBSET),
        ({"count": 3}, SUBSET),
        ({"where": {"person": ("p1",)}}, SUBSET),
        ({"indices": (1, 2)}, SUBSET),
    ],
)
def test_what_depends_on_the_request_follows_from_the_splits(tmp_path, request_fields, expected):
    trainer = trainer_for(tmp_path, **request_fields)
    assert settings_of(trainer) == expected
    line, _ = trainer.settled
    assert f"max_steps {expected['max_steps']}" in line
    assert ("label_shift inf" in line) == (expected is WHOLE)
    written = public_arguments(trainer.args)
    assert written["max_steps"] == expected["max_steps"]
    assert (written.get("label_shift") == "inf") == (expected is WHOLE)


@pytest.mark.parametrize("kind, expected", [("class", WHOLE), ("subclass", SUBSET), ("subset", SUBSET)])
def test_without_splits_they_follow_from_what_is_said(tmp_path, kind, expected):
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True)
    forget = make_dataset(8)
    trainer = MUMisTrainer(
        make_model(), args, train_dataset=forget, processing_class=make_processor(), forget_kind=kind
    )
    assert settings_of(trainer) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_steps", 180), ("stop_rule", "round"), ("label_shift", 3.0), ("sensitivity_weight", 0.1)],
)
def test_what_was_set_stays_as_it_was_set(tmp_path, name, value):
    trainer = trainer_for(tmp_path, {name: value}, fraction=0.2)
    assert settings_of(trainer) == {**SUBSET, name: value}
    assert f"{name} " not in trainer.settled[0]


def test_what_was_set_on_the_trainer_since_then_followed_from_nothing(tmp_path):
    trainer = trainer_for(tmp_path, fraction=0.2)
    trainer.args.learning_rate, trainer.args.max_steps = 0.25, 7
    assert "max_steps" not in trainer.settled[0] and "learning_rate" not in trainer.settled[0]
    record = trainer.record(figures=False)
    assert record["settings_given"] == {"use_cpu": True, "learning_rate": 0.25, "max_steps": 7}
    assert {"learning_rate", "max_steps"} <= set(record["settled"]), "their names alone say what kind of request it was"


def test_a_default_follows_from_nothing(tmp_path):
    trainer = make(tmp_path, "fine_tune", learning_rate=None, stop_rule=None)
    assert (
        trainer.args.learning_rate == FineTuneConfig.learning_rate
        and trainer.args.stop_rule == "steps"
        and trainer.settled == []
    )
    trainer.train()


def test_a_config_may_serve_several_requests(tmp_path):
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True)
    before = dataclasses.asdict(args)
    for kind, expected in (("subset", SUBSET), ("class", WHOLE)):
        given = {"train_dataset": make_dataset(8), "processing_class": make_processor(), "forget_kind": kind}
        assert settings_of(MUMisTrainer(make_model(), args, **given)) == expected
    assert dataclasses.asdict(args) == before


@pytest.mark.parametrize("objective", ["difference", "log_ratio"])
def test_the_papers_objective_is_left_alone(tmp_path, objective):
    trainer = trainer_for(tmp_path, {"objective": objective}, fraction=0.2)
    expected = {"max_steps": 180, "stop_rule": "round", "label_shift": None, "sensitivity_weight": 1.0}
    assert settings_of(trainer) == expected | {"step_rule": "relative", "features_weight": 0.0}


def test_where_the_answers_alone_change_half_the_steps_do(tmp_path):
    trainer = trainer_for(tmp_path, {"features_weight": 0.0}, classes=("red",))
    expected = {"max_steps": 180, "stop_rule": "round", "step_rule": "relative", "features_weight": 0.0}
    assert settings_of(trainer) == WHOLE | expected
    assert trainer.args.surroundings_weight == 1.0


def test_passes_in_the_place_of_steps_have_no_rounds(tmp_path):
    trainer = trainer_for(tmp_path, {"max_steps": -1, "num_train_epochs": 2}, classes=("red",))
    assert trainer.args.stop_rule == "steps" and trainer.args.max_steps == -1


def test_what_was_filled_in_must_go_with_what_was_set(tmp_path):
    with pytest.raises(UnlearningError, match="all weights of the objective are 0"):
        trainer_for(tmp_path, {"guard_weight": 0.0, "surroundings_weight": 0.0, "sensitivity_weight": 0.0}, count=3)
    # Without the guards the sensitivity is all that there is, and stays.
    kept = trainer_for(tmp_path, {"guard_weight": 0.0, "surroundings_weight": 0.0}, count=3)
    assert kept.args.sensitivity_weight == 0.1


def test_the_old_way_names_the_new_one():
    with pytest.raises(ImportError, match="splits=splits"):
        from hf_unlearn.trainers.request_settings import request_settings  # noqa: F401


@pytest.mark.parametrize("name", METHODS)
def test_no_method_leaves_a_setting_open_once_the_request_is_known(name):
    import hf_unlearn

    config = getattr(hf_unlearn, METHODS[name].config)
    for left in ({}, {"stop_rule": None}, {"max_steps": None}, {"step_rule": None}, {"learning_rate": None}):
        if name in AT_ONCE and left:
            continue  # They have one value for each.
        for kind in ("class", "subclass", "subset"):
            settled, _ = config("unused", use_cpu=True, **left).for_request(kind)
            assert None not in (settled.max_steps, settled.stop_rule, settled.step_rule)
            # That of MU-Mis follows from the model.
            assert name == "mu_mis" or settled.learning_rate == config.learning_rate


def test_all_classes_that_go_are_lowered_together(tmp_path):
    two = make_dataset(24).filter(lambda label: label in (0, 2), input_columns="label")
    trainer = make_trainer(tmp_path, dataset=two)
    lowered = trainer._lowered(torch.tensor([0, 2, 2]), len(LABELS))
    assert lowered.tolist() == [[True, False, True, False]] * 3


def test_a_finite_shift_lowers_the_own_class_alone(tmp_path):
    trainer = make_trainer(tmp_path, label_shift=1.0)
    assert trainer._lowered(torch.tensor([0, 2]), 4).tolist() == [
        [True, False, False, False],
        [False, False, True, False],
    ]


def test_all_but_one_class_may_go(tmp_path):
    three = make_dataset(24).filter(lambda label: label != 3, input_columns="label")
    trainer = make_trainer(tmp_path, dataset=three)
    assert trainer._lowered(torch.tensor([1]), 4).tolist() == [[True, True, True, False]]


def test_losing_a_class_that_stays_is_damage(tmp_path):
    assert len(make_trainer(tmp_path, dataset=make_dataset(24).select([0, 4]), kind="subset").classes_that_go()) == 0
    assert make_trainer(tmp_path, dataset=make_dataset(24).select([0, 4])).classes_that_go().tolist() == [0]


def test_a_forget_set_of_every_class_leaves_something_to_say(tmp_path):
    trainer = make_trainer(tmp_path)
    assert trainer._lowered(torch.tensor([1]), 4).tolist() == [[False, True, False, False]]
    trainer.train()
    assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())


def test_memory_is_pinned_for_a_gpu_alone(tmp_path):
    # Torch would warn of it at every pass.
    assert trainer_for(tmp_path, count=3).args.dataloader_pin_memory is False


def test_the_rest_of_a_class_is_held_harder_where_a_part_of_it_goes(tmp_path):
    args = MUMisConfig(output_dir=str(tmp_path), use_cpu=True)
    weights = {kind: args.for_request(kind)[0].weights.surroundings for kind in ("subclass", "subset")}
    assert weights["subclass"] == 5 * weights["subset"]
    own = MUMisConfig(output_dir=str(tmp_path), use_cpu=True, surroundings_weight=2.0)
    assert own.for_request("subclass")[0].weights.surroundings == 2.0
