"""What the tests of the page stand on."""

from __future__ import annotations

import threading

import pytest

from hf_unlearn.app.form import Form
from hf_unlearn.app.options import Options
from hf_unlearn.app.session import Session
from hf_unlearn.app.watching import Watcher

# Of a run.
STEPS = 6


@pytest.fixture
def options(tmp_path, saved_model, saved_dataset):
    """A page that may read a tiny model and a tiny dataset."""
    (tmp_path / "out").mkdir()
    return Options(
        output_dir=str(tmp_path / "out"),
        folders=(saved_model(), saved_dataset),
        model=saved_model(),
        dataset=saved_dataset,
        forget_classes=("red",),
    )


@pytest.fixture
def form(options):
    """The boxes as they are when the page is opened, but for a short run."""
    return Form(model=options.model, dataset=options.dataset, words="red", max_steps=str(STEPS))


@pytest.fixture
def session(options):
    with_one = Session(options)
    yield with_one
    with_one.close()


@pytest.fixture
def picture(tmp_path):
    """The path of a small picture."""
    from PIL import Image

    path = str(tmp_path / "mine.png")
    Image.new("RGB", (20, 12), (200, 40, 40)).save(path)
    return path


@pytest.fixture
def held(monkeypatch):
    """Runs stand still after their third step, until the event is set; the other event says that one does."""
    stands, goes_on = threading.Event(), threading.Event()
    step = Watcher.on_step_end

    def on_step_end(self, args, state, control, **kwargs):
        step(self, args, state, control, **kwargs)
        if state.global_step == 3:
            stands.set()
            assert goes_on.wait(60)

    monkeypatch.setattr(Watcher, "on_step_end", on_step_end)
    yield stands, goes_on
    goes_on.set()
