"""What the tests of the page stand on."""

from __future__ import annotations

import pytest

from hf_unlearn.app.form import Form
from hf_unlearn.app.options import Options
from hf_unlearn.app.session import Session

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
