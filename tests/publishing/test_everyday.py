"""A full disk, a folder that cannot be written to, a file that goes: one line, and nothing half done."""

from __future__ import annotations

import errno
import os

import pytest

from hf_unlearn import ForgetRequest, UnlearningError
from hf_unlearn.commands.main import main
from hf_unlearn.errors import PublishingError
from hf_unlearn.publishing import push as pushing
from hf_unlearn.publishing import reading_back
from hf_unlearn.publishing.destination import Destination
from hf_unlearn.publishing.push import push_folder
from hf_unlearn.trainers.base import publishing
from tests.publishing.conftest import unlearn

REPO = "org/forgot-red"


def no_room(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["the weights", "the image processor", "the record", "the card"])
def test_a_disk_that_is_full_while_a_model_is_saved(tmp_path, monkeypatch, what):
    trainer = unlearn(tmp_path / "out", ForgetRequest(classes=("red",)))
    trainer.save_model()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    owner, name = {
        "the weights": (trainer.model, "save_pretrained"),
        "the image processor": (trainer.processing_class, "save_pretrained"),
        "the record": (publishing, "write_record"),
        "the card": (publishing, "write_card"),
    }[what]
    monkeypatch.setattr(owner, name, no_room)
    with pytest.raises(UnlearningError, match="could not be saved: .*No space left on device"):
        trainer.save_model()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_that_cannot_be_written_to(connected_hub, unlearned, monkeypatch, capsys):
    monkeypatch.setattr(pushing, "write_card", no_room)
    assert main(["push", str(unlearned), "--hub_model_id", REPO, "--push_anyway"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "cannot be written to, where the card is made anew: [Errno 28] No space left on device" in line
    assert connected_hub.calls("create", "commit") == []


def test_no_room_to_read_back(connected_hub, unlearned, monkeypatch):
    monkeypatch.setattr(reading_back.tempfile, "TemporaryDirectory", no_room)
    with pytest.raises(PublishingError, match="No space left on device; the model is whole in"):
        push_folder(unlearned, REPO, push_anyway=True)
    repository = connected_hub.repository(REPO)
    assert repository.paths() == [".gitattributes"] and set(repository.branches) == {"main"}


def test_an_interruption_leaves_no_branch(connected_hub, unlearned, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Destination, "fetch", interrupted)
    assert main(["push", str(unlearned), "--hub_model_id", REPO, "--push_anyway"]) == 130
    repository = connected_hub.repository(REPO)
    assert repository.paths() == [".gitattributes"] and set(repository.branches) == {"main"}
