"""An unlearned model in a folder, ready to be pushed."""

from __future__ import annotations

import shutil

import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, make_splits
from hf_unlearn.models import hub
from tests.tiny import make_dataset, make_model, make_processor

RED, GREEN, P1 = (
    ForgetRequest(**what) for what in ({"classes": ("red",)}, {"classes": ("green",)}, {"where": {"person": ("p1",)}})
)


def unlearn(folder, request, **kwargs):
    """Two steps of unlearning, saved with record and card; returns the trainer."""
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    splits = make_splits(data, request, dataset_name="someone/colours")
    settings = {"max_steps": 2, "num_rounds": 1, "stop_rule": "steps", **kwargs}
    if not request.classes:
        # Of a new model there is nothing to forget that could be measured.
        settings = {"label_shift": 1.0, **settings}
    args = MUMisConfig(
        str(folder), use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, report_to="none", **settings
    )
    trainer = MUMisTrainer(make_model(), args, splits, processing_class=make_processor())
    trainer.train()
    return trainer


def again(before, folder, request, references=None, **settings):
    """A trainer of two steps on a model in a folder."""
    data = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    splits = make_splits(data, request, dataset_name="someone/colours")
    shift = {} if request.classes else {"label_shift": 1.0}
    args = MUMisConfig(
        str(folder),
        **{"use_cpu": True, "disable_tqdm": True, "dataloader_pin_memory": False, "report_to": "none"},
        **{"max_steps": 2, "num_rounds": 1, "stop_rule": "steps", **shift, **settings},
    )
    return MUMisTrainer(str(before), args, splits, reference_dataset=references)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Folders of a model that forgot red, then a person's images, then green."""
    root = tmp_path_factory.mktemp("chain")
    unlearn(root / "1", RED).save_model()
    for number, request in ((2, P1), (3, GREEN)):
        trainer = again(root / str(number - 1), root / str(number), request)
        trainer.train()
        trainer.save_model()
    return root


@pytest.fixture(scope="session")
def _unlearned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlearned") / "forgot-red"
    trainer = unlearn(folder, ForgetRequest(classes=("red",)))
    # The class of an untrained model's choice may be the forgotten one; what is tested here is not forgetting.
    trainer.save_model()
    return folder


@pytest.fixture
def unlearned(_unlearned, tmp_path):
    """The folder of an unlearned model, for this test alone."""
    return shutil.copytree(_unlearned, tmp_path / "forgot-red")


@pytest.fixture(autouse=True)
def no_waiting():
    """Between its tries a push does not wait."""
    # Not the fixture monkeypatch: it would be undone after those that point the clients at a Hub, and undo them half.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub.time, "sleep", lambda seconds: None)
        yield
