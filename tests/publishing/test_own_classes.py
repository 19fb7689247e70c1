"""Classes that are not transformers' own: what nobody could load from the Hub is refused before the work."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
from datasets import DatasetDict
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil

from hf_unlearn import ForgetRequest, MUMisConfig, MUMisTrainer, UnlearningError, load_image_classifier, make_splits
from hf_unlearn.models.own_code import missing_code
from hf_unlearn.publishing.push import published_files
from tests.own_code import MODELING, save_own_model
from tests.tiny import make_dataset, make_model, make_processor

REPO = "org/forgot-red"


def trainer_of(model, processor, folder, **settings):
    data = DatasetDict({"train": make_dataset(16), "test": make_dataset(8, seed=1)})
    splits = make_splits(data, ForgetRequest(classes=("red",)), dataset_name="someone/colours")
    usual = {"max_steps": 1, "use_cpu": True, "disable_tqdm": True, "push_anyway": True, "hub_model_id": REPO}
    args = MUMisConfig(str(folder), **{**usual, **settings})
    return MUMisTrainer(model, args, splits, processing_class=processor)


class NewConfig(ResNetConfig):
    model_type = "newnet"


class NewNet(ResNetForImageClassification):
    config_class = NewConfig


class Louder(ResNetForImageClassification):
    """Of a known type, and answering otherwise."""

    def forward(self, *args, **kwargs):
        outputs = super().forward(*args, **kwargs)
        outputs.logits = outputs.logits * 2
        return outputs


class Grey(ViTImageProcessorPil):
    pass


@pytest.mark.parametrize("kind", [NewNet, Louder])
def test_a_class_that_nobody_could_load_is_refused_before_the_work(connected_hub, tmp_path, kind):
    config = kind.config_class(**make_model().config.to_dict())
    with pytest.raises(UnlearningError, match=f"is a {kind.__name__}, which nobody could load from the Hub"):
        trainer_of(kind(config).eval(), make_processor(), tmp_path / "f", push_to_hub=True)
    assert not (tmp_path / "f").exists() and connected_hub.calls("create", "commit") == []
    # Without a push it may be unlearned, and kept.
    trainer = trainer_of(kind(config).eval(), make_processor(), tmp_path / "f")
    trainer.train()
    with pytest.raises(UnlearningError, match="nobody could load from the Hub"):
        trainer.push_to_hub()


def test_an_image_processor_that_nobody_could_load_is_refused(connected_hub, tmp_path):
    with pytest.raises(UnlearningError, match="the image processor is a Grey"):
        trainer_of(make_model(), Grey(**make_processor().to_dict()), tmp_path / "f", push_to_hub=True)


def test_a_class_that_was_registered_goes_with_its_code(connected_hub, tmp_path, monkeypatch):
    # A module of the user's, as it would be imported from beside a script.
    text = MODELING.replace("from .configuration_own import OwnConfig", "from transformers import ResNetConfig")
    text = text.replace("config_class = OwnConfig", "config_class = ResNetConfig").replace("config.width", "8")
    (tmp_path / "my_net.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    kind = importlib.import_module("my_net").OwnForImageClassification
    monkeypatch.setitem(sys.modules, "my_net", sys.modules["my_net"])
    kind.register_for_auto_class("AutoModelForImageClassification")
    trainer = trainer_of(kind(make_model().config).eval(), make_processor(), tmp_path / "f", push_to_hub=True)
    trainer.train()
    trainer.push_to_hub()
    repository = connected_hub.repository(REPO)
    assert "my_net.py" in repository.paths()
    back = load_image_classifier(REPO, trust_remote_code=True)
    assert type(back).__name__ == "OwnForImageClassification"


def test_code_that_was_not_run_is_not_named_in_what_is_published(connected_hub, tmp_path):
    """Of a known type, with code of its own beside it, loaded without: what is saved is transformers' own."""
    make_model().save_pretrained(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageClassification": "modeling_own.Net"}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    (tmp_path / "m" / "modeling_own.py").write_text("raise RuntimeError('it ran')\n")
    processor = make_processor()
    processor.auto_map = {"AutoImageProcessor": "elsewhere/code--processing.Own"}
    model = load_image_classifier(tmp_path / "m")
    assert type(model) is ResNetForImageClassification and model.config.auto_map
    trainer = trainer_of(model, processor, tmp_path / "f", push_to_hub=True)
    trainer.train()
    trainer.push_to_hub()
    repository = connected_hub.repository(REPO)
    for name in ("config.json", "preprocessor_config.json"):
        assert "auto_map" not in json.loads(repository.read(name)), name


def test_a_folder_whose_code_is_not_there_is_not_published(tmp_path):
    folder = save_own_model(tmp_path / "own")
    assert missing_code(folder) == []
    (tmp_path / "own" / "modeling_own.py").unlink()
    with pytest.raises(UnlearningError, match="auto_map: 'modeling_own.py'.* does not lie there"):
        published_files(folder)
