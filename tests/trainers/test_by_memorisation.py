"""RUM: the parts, their order, and what stays while each is unlearned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import DatasetDict

import hf_unlearn.trainers.by_memorisation as rum
from hf_unlearn import (
    DeleteConfig,
    FineTuneConfig,
    FineTuneTrainer,
    ForgetRequest,
    GradientAscentConfig,
    MaskLogitConfig,
    UnlearningConfig,
    UnlearningError,
    make_splits,
    unlearn_by_memorisation,
)
from tests.tiny import make_dataset, make_model, make_processor

COMMON = {"use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False, "max_steps": 1}


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    monkeypatch.setattr("hf_unlearn.trainers.base.trainer.UnlearningTrainer.least_agreement", 0.0)


@pytest.fixture
def splits():
    return make_splits(DatasetDict(train=make_dataset(40)), ForgetRequest(indices=tuple(range(10))))


def config(tmp_path, kind=GradientAscentConfig, **settings):
    return kind(output_dir=str(tmp_path), **COMMON, **settings)


def test_parts_follow_memorisation_and_each_starts_where_the_last_ended(tmp_path, splits, monkeypatch):
    seen = []
    train = FineTuneTrainer.train

    def spy(self, *args, **kwargs):
        before = [value.clone() for value in self.model.parameters()]
        result = train(self, *args, **kwargs)
        after = [value.clone() for value in self.model.parameters()]
        seen.append((len(self.train_dataset), len(self.retain_dataset), before, after))
        return result

    monkeypatch.setattr(FineTuneTrainer, "train", spy)
    model = make_model("vit")
    scores = np.arange(10)[::-1]
    fine_tune = config(tmp_path, FineTuneConfig)
    parts = unlearn_by_memorisation(model, [None, fine_tune, fine_tune], splits, make_processor(), scores)
    assert [part.tolist() for part in parts] == [[6, 7, 8, 9], [3, 4, 5], [0, 1, 2]]
    # The rest, and the part that is still to come; what was left alone stays out.
    assert [(forget, retain) for forget, retain, _, _ in seen] == [(3, 33), (3, 30)]
    assert all(torch.equal(*pair) for pair in zip(seen[1][2], seen[0][3], strict=True))
    assert all(torch.equal(*pair) for pair in zip(seen[0][2], make_model("vit").parameters(), strict=True))
    assert not all(torch.equal(*pair) for pair in zip(seen[0][2], seen[0][3], strict=True))


def test_a_plan_of_one_part_is_the_method_itself(tmp_path, splits):
    from hf_unlearn import GradientAscentTrainer

    wrapped, plain = make_model("vit"), make_model("vit")
    unlearn_by_memorisation(wrapped, [config(tmp_path)], splits, make_processor(), np.zeros(10))
    GradientAscentTrainer(plain, config(tmp_path), splits, processing_class=make_processor()).train()
    assert all(torch.equal(*pair) for pair in zip(wrapped.parameters(), plain.parameters(), strict=True))


def test_without_scores_memory_is_read_off_the_model(tmp_path, splits, monkeypatch):
    class Known:
        amounts = torch.tensor([3.0, 0.0] * 5)

    monkeypatch.setattr(rum, "measure_memory", lambda *given: Known())
    parts = unlearn_by_memorisation(make_model("vit"), [None, None], splits, make_processor())
    assert [part.tolist() for part in parts] == [[1, 3, 5, 7, 9], [0, 2, 4, 6, 8]]


def test_that_nothing_is_memorised_is_said(splits, monkeypatch, caplog):
    class Nothing:
        amounts = torch.zeros(10)

    monkeypatch.setattr(rum, "measure_memory", lambda *given: Nothing())
    unlearn_by_memorisation(make_model("vit"), [None, None], splits, make_processor())
    assert "no forget sample seems memorised" in caplog.text


def test_a_plan_is_refused_before_the_model_changes(tmp_path, splits):
    model = make_model("vit")
    plan = [config(tmp_path, FineTuneConfig), MaskLogitConfig(output_dir=str(tmp_path), use_cpu=True)]
    with pytest.raises(UnlearningError, match="mask_logit' is for classes that vanish"):
        unlearn_by_memorisation(model, plan, splits, make_processor(), np.zeros(10))
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), make_model("vit").parameters(), strict=True))


@pytest.mark.parametrize(
    ("plan", "scores", "named"),
    [
        ([], np.zeros(10), "the plan has 0 parts for 10 forget samples; expected 1 to 10"),
        ([None] * 11, np.zeros(10), "the plan has 11 parts"),
        ([None], np.zeros(9), r"scores have the shape \(9,\)"),
        ([None], np.full(10, np.nan), "expected one finite number"),
        ([None], ["a"] * 10, "scores are no numbers .*; expected one for each of 10"),
        ([None], [[1.0]] * 9 + [[1.0, 2.0]], "scores are no numbers"),
    ],
)
def test_what_does_not_fit(splits, plan, scores, named):
    with pytest.raises(UnlearningError, match=named) as caught:
        unlearn_by_memorisation(make_model("vit"), plan, splits, make_processor(), scores)
    assert "\n" not in str(caught.value)


def test_a_config_of_no_method_and_whole_classes_are_refused(tmp_path, splits):
    with pytest.raises(UnlearningError, match="the plan has a UnlearningConfig; expected the config of a method"):
        plan = [config(tmp_path, UnlearningConfig)]
        unlearn_by_memorisation(make_model("vit"), plan, splits, make_processor(), np.zeros(10))
    whole = make_splits(DatasetDict(train=make_dataset(40)), ForgetRequest(classes="red"))
    with pytest.raises(UnlearningError, match="the request is of kind 'class'"):
        unlearn_by_memorisation(make_model("vit"), [config(tmp_path, DeleteConfig)], whole, make_processor())
