"""A note or a path that somebody put into the settings of a model goes neither into what is saved nor to the Hub."""

from __future__ import annotations

import json

from hf_unlearn import ForgetRequest
from hf_unlearn.models.pretrained import load_image_classifier, load_image_processor
from hf_unlearn.publishing.push import push_folder
from tests.publishing.conftest import unlearn
from tests.publishing.test_own_classes import trainer_of
from tests.tiny import make_model, make_processor

SECRET = "/srv/jane-doe/patients"
FILES = ("config.json", "preprocessor_config.json")


def texts(folder):
    return "".join((folder / name).read_text() for name in FILES)


def test_a_trainer_saves_what_the_classes_define(tmp_path):
    model, processor = make_model(), make_processor()
    model.config.collected_in, processor.collected_in = SECRET, SECRET
    trainer = trainer_of(model, processor, tmp_path / "out")
    trainer.train()
    trainer.save_model()
    assert SECRET not in texts(tmp_path / "out")
    # What the user has in hand is as it was.
    assert trainer.model.config.collected_in == trainer.processing_class.collected_in == SECRET


def test_what_was_written_into_them_since_is_not_pushed(connected_hub, tmp_path):
    folder = tmp_path / "out"
    unlearn(folder, ForgetRequest(classes=("red",))).save_model()
    before = texts(folder)
    for name in FILES:
        held = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**held, "_name_or_path": SECRET, "notes": {"of": SECRET}}))
    push_folder(folder, "org/forgot", push_anyway=True)
    repository = connected_hub.repository("org/forgot")
    assert all(json.loads(repository.read(name)) == json.loads((folder / name).read_text()) for name in FILES)
    assert SECRET not in texts(folder) and texts(folder).split() == before.split()
    assert load_image_classifier("org/forgot") and load_image_processor("org/forgot")
