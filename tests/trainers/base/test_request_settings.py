"""Settings by the kind of request, and what the guard is told to lower."""

from __future__ import annotations

import math

import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, make_splits
from hf_unlearn.trainers.base.request_settings import SUBCLASS_SHIFT, SUBSET_SHIFT, request_settings
from tests.tiny import LABELS, make_dataset
from tests.trainers.methods.test_mu_mis import make_trainer


def settings_of(objective="matched", **request):
    data = make_dataset(24)
    coarse = data.add_column("kind", [0 if label < 3 else 1 for label in data["label"]])
    label_column = "kind" if "subclasses" in request else "label"
    if label_column == "kind":
        from datasets import ClassLabel

        coarse = coarse.cast_column("kind", ClassLabel(names=["colour", "none"]))
    splits = make_splits(DatasetDict(train=coarse), ForgetRequest(**request), label_column_name=label_column)
    return request_settings(splits, objective)


def test_whole_classes_rule_their_label_out():
    assert settings_of(classes=("red",)) == {"label_shift": math.inf}
    # However it was asked for: these are all samples of the class red.
    assert settings_of(indices=tuple(range(0, 24, 4))) == {"label_shift": math.inf}


@pytest.mark.parametrize(
    "request_fields", [{"fraction": 0.2}, {"count": 3}, {"where": {"person": ("p1",)}}, {"indices": (1, 2)}]
)
def test_a_subset_moves_its_labels_a_little(request_fields):
    settings = settings_of(**request_fields)
    assert settings["label_shift"] == SUBSET_SHIFT and settings["sensitivity_weight"] == 0


def test_a_subclass_moves_its_label_further():
    assert settings_of(subclasses=("red",), subclass_column="label")["label_shift"] == SUBCLASS_SHIFT > SUBSET_SHIFT


@pytest.mark.parametrize("objective", ["difference", "log_ratio"])
def test_the_papers_objective_is_left_alone(objective):
    assert settings_of(objective, fraction=0.2) == {}


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
    assert len(make_trainer(tmp_path, dataset=make_dataset(24).select([0, 4]), label_shift=1.0).classes_that_go()) == 0
    assert make_trainer(tmp_path, dataset=make_dataset(24).select([0, 4])).classes_that_go().tolist() == [0]


def test_a_forget_set_of_every_class_leaves_something_to_say(tmp_path):
    trainer = make_trainer(tmp_path)
    assert trainer._lowered(torch.tensor([1]), 4).tolist() == [[False, True, False, False]]
    trainer.train()
    assert all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters())
