"""A ledger's folder, and `unlearn` as a stand-in that writes what that would write."""

from __future__ import annotations

import pytest

from hf_unlearn.commands import queue_runs
from hf_unlearn.commands.main import main
from hf_unlearn.ledger.entries import Ledger
from hf_unlearn.ledger.queue import Queue
from tests.ledger.acting import StandIn


@pytest.fixture
def stand_in(monkeypatch):
    made = StandIn()
    monkeypatch.setattr(queue_runs.unlearn, "main", made)
    return made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "requests"


@pytest.fixture
def queue(folder):
    return Queue(folder, "test")


@pytest.fixture
def add(folder, saved_model, saved_dataset):
    def add(*words, dataset=saved_dataset, model=None):
        first = [] if Ledger(folder).exists() else ["--model_name_or_path", saved_model()]
        given = ["--model_name_or_path", str(model)] if model else first
        return main(["requests", "add", str(folder), *given, "--dataset_name", str(dataset), *words])

    return add
