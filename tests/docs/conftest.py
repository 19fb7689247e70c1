"""A local Hub and a folder that hold what the pages name."""

from __future__ import annotations

import shutil

import pytest
from huggingface_hub import HfApi

from tests.docs import stock
from tests.hub import LocalHub
from tests.hub.clients import add_dataset, add_model, pointed_here
from tests.hub.fixtures import WRITE_TOKEN


@pytest.fixture(scope="session")
def stocked(tmp_path_factory):
    """The Hub, and the folder that each page gets a copy of."""
    from datasets import DatasetDict

    from hf_unlearn.models.from_scratch import new_image_processor

    folder, home = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("stocking")
    data = DatasetDict({"train": stock.pictures(96, 0), "test": stock.pictures(48, 1)})
    with LocalHub() as hub:
        hub.add_token(WRITE_TOKEN, "you", organisations=("ORG",))
        for name, model_type in (("ORG/MODEL", "resnet"), ("ORG/VIT", "vit")):
            model = stock.trained(model_type, data["train"])
            add_model(hub, name, model, new_image_processor(stock.SIZE), home=home)
        with pointed_here(hub, home, WRITE_TOKEN):
            adapter = stock.adapter(model, "ORG/VIT", data["train"])
            adapter.save_pretrained(home / "adapter")
            adapter.config.save_pretrained(home / "adapter")
            (home / "adapter" / "README.md").write_text("---\nlicense: mit\n---\n")
            HfApi().create_repo("ORG/ADAPTER")
            HfApi().upload_folder(repo_id="ORG/ADAPTER", folder_path=home / "adapter")
        add_dataset(hub, "ORG/DATA", data, home=home)
        german = DatasetDict({"train": stock.pictures(96, 0, stock.GERMAN)})
        add_dataset(hub, "ORG/BILDER", german, home=home)
        stock.lay_out(folder)
        yield hub, folder


@pytest.fixture
def stocked_folder(stocked, tmp_path, monkeypatch):
    """The current folder while a page's blocks run; the clients speak to the local Hub."""
    hub, prepared = stocked
    folder = tmp_path / "page"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    with pointed_here(hub, tmp_path / "hf-home", WRITE_TOKEN):
        yield folder
