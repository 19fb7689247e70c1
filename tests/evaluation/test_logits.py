"""Logits on file: two runs that compute the same at once, and runs that fail."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, UnlearningError, make_splits
from hf_unlearn.evaluation import logits as logits_module
from hf_unlearn.evaluation.logits import LogitStore
from hf_unlearn.evaluation.predict import Contestant, predict_logits
from tests.tiny import make_dataset, make_model, make_processor


@pytest.fixture
def store(tmp_path):
    data = DatasetDict({"train": make_dataset(16), "test": make_dataset(8, seed=1)})
    return LogitStore(tmp_path / "cache", make_splits(data, ForgetRequest(classes=("red",))), 4, "cpu")


def model():
    return {"original": Contestant("original", make_model(), make_processor())}


def test_runs_on_one_folder_with_one_port_do_not_meet(store, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "29500")
    alone = predict_logits({"m": model()["original"].model}, store.pixels(model()["original"], "forget"), 4)["m"]
    compute, second = logits_module.batches_of_logits, []

    def meanwhile(*args, **kwargs):
        for start, batch in compute(*args, **kwargs):
            yield start, batch
            if not second:
                second.append(True)
                second.append(store.logits(model(), "forget")["original"])

    monkeypatch.setattr(logits_module, "batches_of_logits", meanwhile)
    first = store.logits(model(), "forget")["original"]
    np.testing.assert_allclose(first, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second[1], alone, rtol=1e-5, atol=1e-6)
    assert [path.suffix for path in store.folder.iterdir()] == [".npy"]


@pytest.mark.parametrize("error", [UnlearningError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_nothing(store, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error("no")

    monkeypatch.setattr(logits_module, "batches_of_logits", fail)
    with pytest.raises(error):
        store.logits(model(), "forget")
    assert not list(store.folder.iterdir())
