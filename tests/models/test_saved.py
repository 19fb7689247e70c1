"""Which files of a folder are of the model in it."""

from __future__ import annotations

import pytest

from hf_unlearn.models.saved import stale_files


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"),
        *("pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json", "tf_model.h5"),
        *("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "adapter_base.json"),
        *("flax_model.msgpack", "model.fp16.safetensors", "preprocessor_config.json", "processor_config.json"),
        *("training_args.json", "training_args.bin", "unlearning.json", "results.json", "report.html"),
        *("forget_set.json", "train_results.json"),
    ],
)
def test_files_of_a_model(tmp_path, name):
    assert stale_files(tmp_path)(name)


@pytest.mark.parametrize(
    "name", ["thesis.txt", "model.py", "modelling.bin", "my_config.json", "checkpoint-3/model.safetensors", "notes.md"]
)
def test_files_of_others(tmp_path, name):
    assert not stale_files(tmp_path)(name)


def test_a_card_is_the_models_where_a_record_says_so(tmp_path):
    assert not stale_files(tmp_path)("README.md") and not stale_files(tmp_path)("plots/mine.png")
    (tmp_path / "unlearning.json").write_text("{}")
    assert stale_files(tmp_path)("README.md") and stale_files(tmp_path)("plots/figure.png")
    assert not stale_files(tmp_path)("plots/data.csv")
