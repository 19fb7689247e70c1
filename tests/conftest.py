"""Fixtures that every test can have. Nothing here reaches a network."""

from __future__ import annotations

import os

from tests.scratch import own_folder

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Logits that a test leaves behind belong to nobody.
os.environ["HF_UNLEARN_CACHE"] = own_folder()
# Nor does code that came with a model.
os.environ["HF_MODULES_CACHE"] = own_folder()
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import hypothesis
import pytest

from tests.tiny import make_dataset, make_model, make_processor

pytest_plugins = ["tests.hub.fixtures"]

# Time is no measure on a busy machine, and a failure in CI must come back at home.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
hypothesis.settings.load_profile("house")


@pytest.fixture(params=["resnet", "vit"])
def architecture(request):
    return request.param


@pytest.fixture(scope="session")
def saved_dataset(tmp_path_factory):
    """A folder from `save_to_disk` with a train and a test split."""
    from datasets import DatasetDict

    folder = tmp_path_factory.mktemp("data") / "colours"
    DatasetDict({"train": make_dataset(48), "test": make_dataset(24, seed=1)}).save_to_disk(str(folder))
    return str(folder)


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
    """A function that gives the folder of a saved, untrained model of an architecture."""
    folders: dict[str, str] = {}

    def save(model_type: str = "resnet") -> str:
        if model_type not in folders:
            folder = str(tmp_path_factory.mktemp("models") / model_type)
            make_model(model_type).save_pretrained(folder)
            make_processor().save_pretrained(folder)
            folders[model_type] = folder
        return folders[model_type]

    return save
