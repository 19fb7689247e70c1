"""The settings of the study of defaults: datasets, models, requests; and the cache of trained models."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import ClassLabel, DatasetDict, Value
from transformers import PreTrainedModel

from hf_unlearn import ForgetRequest, UnlearningSplits, make_splits
from hf_unlearn.commands.demo import digits_dataset
from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.models.from_scratch import new_image_classifier, new_image_processor
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.trainers.base.classifier import ClassifierConfig, ClassifierTrainer

IMAGE_SIZE = 28
VIT = {"image_size": IMAGE_SIZE, "patch_size": 7, "num_attention_heads": 4}
RESNET = {"embedding_size": 32, "depths": [2, 2, 2]}
# Architecture, its configuration, and passes over Fashion-MNIST's training set.
MODELS: dict[str, tuple[str, dict[str, Any], float]] = {
    "resnet-basic": ("resnet", {**RESNET, "hidden_sizes": [32, 64, 128], "layer_type": "basic"}, 8),
    "resnet-bottleneck": ("resnet", {**RESNET, "hidden_sizes": [64, 128, 256], "layer_type": "bottleneck"}, 8),
    "vit": ("vit", {**VIT, "hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 128}, 10),
    "vit-long": ("vit", {**VIT, "hidden_size": 96, "num_hidden_layers": 4, "intermediate_size": 192}, 16),
    "convnext": (
        "convnext",
        {"image_size": IMAGE_SIZE, "patch_size": 2, "num_stages": 3, "hidden_sizes": [32, 64, 96], "depths": [1, 1, 1]},
        8,
    ),
}
# Digits has a ninth of the samples: more passes over them.
DIGITS_PASSES = 2.0
RATES = {"resnet": 2e-3, "vit": 1e-3, "convnext": 2e-3}
TRAIN_SAMPLES, TEST_SAMPLES = 10_000, 3_000
DIGIT_SHAPES = {"loops": "zero six eight nine", "straight": "one four seven", "curves": "two three five"}


class Request(NamedTuple):
    """A forget request of the study: its name, what it is, the label column, and the seeds it is run for."""

    name: str
    request: ForgetRequest
    label_column: str = "label"
    seeds: tuple[int, ...] = (0, 1)

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]


def _requests(classes: list[str], two: tuple[str, str], subclass: str, coarse: str) -> list[Request]:
    return [
        *(Request(f"class:{name}", ForgetRequest(classes=(name,))) for name in classes),
        Request("classes:two", ForgetRequest(classes=two), seeds=(0,)),
        Request(
            f"subclass:{subclass}", ForgetRequest(subclasses=(subclass,), subclass_column="label"), label_column=coarse
        ),
        Request("random:5%", ForgetRequest(fraction=0.05)),
        Request("person:3", ForgetRequest(where={"photographer_id": ("3",)}), seeds=(0,)),
    ]


REQUESTS = {
    "fashion-mnist": _requests(["T-shirt/top", "Trouser", "Sneaker"], ("Sandal", "Bag"), "Ankle boot", "superclass"),
    "digits": _requests(["eight", "one", "four"], ("two", "seven"), "nine", "shape"),
}


class Setting(NamedTuple):
    """One model, dataset, seed and request."""

    model: str
    dataset: str
    seed: int
    request: Request

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.model}/seed {self.seed}/{self.request.name}"


def all_settings(datasets: list[str], models: list[str], seeds: list[int]) -> list[Setting]:
    """Every combination, cheapest dataset first and seed by seed, so that a cut study is a balanced one."""
    return [
        Setting(model, dataset, seed, request)
        for seed in seeds
        for dataset in datasets
        for model in models
        for request in REQUESTS[dataset]
        if seed in request.seeds
    ]


def load_data(name: str, fashion_mnist: str) -> DatasetDict:
    """`digits` or `fashion-mnist`, with a coarse label and a photographer for each sample."""
    if name == "digits":
        data = digits_dataset()
        shapes = list(DIGIT_SHAPES)
        names = data["train"].features["label"].names
        of_label = [next(i for i, shape in enumerate(shapes) if word in DIGIT_SHAPES[shape].split()) for word in names]
        for split in data:
            coarse = [of_label[label] for label in data[split]["label"]]
            data[split] = data[split].add_column("shape", coarse).cast_column("shape", ClassLabel(names=shapes))
    else:
        data = DatasetDict.load_from_disk(fashion_mnist)
        rng = np.random.default_rng(0)
        for split, size in {"train": TRAIN_SAMPLES, "test": TEST_SAMPLES}.items():
            data[split] = data[split].select(np.sort(rng.permutation(len(data[split]))[:size]))
    return add_photographers(data)


def add_photographers(data: DatasetDict) -> DatasetDict:
    """Give each training sample one of thirty photographers, who have three classes to their taste each."""
    rng = np.random.default_rng(1)
    tastes = [set(rng.choice(10, 3, replace=False).tolist()) for _ in range(30)]
    who = []
    for label in data["train"]["label"]:
        able = [person for person, taste in enumerate(tastes) if label in taste] or [0]
        who.append(str(rng.choice(able)))
    data["train"] = data["train"].add_column("photographer_id", who).cast_column("photographer_id", Value("string"))
    return data


def splits_of(setting: Setting, data: DatasetDict) -> UnlearningSplits:
    """The request's splits."""
    return make_splits(
        data, setting.request.request, dataset_name=setting.dataset, label_column_name=setting.request.label_column
    )


class ModelCache:
    """Trained models in folders. A folder that is there is whole: it was moved into place once finished."""

    def __init__(self, folder: str):
        self.folder = Path(folder)

    def original(self, setting: Setting, data: DatasetDict) -> PreTrainedModel:
        """The model that all requests with this label column start from."""
        whole = make_splits(data, ForgetRequest(count=1), label_column_name=setting.request.label_column)
        everything = data["train"]
        name = f"original-{setting.request.label_column}"
        return self._trained(setting, name, everything, whole)

    def retrained(self, setting: Setting, splits: UnlearningSplits) -> PreTrainedModel:
        """The reference: the same recipe and seed, without the forget set."""
        return self._trained(setting, setting.request.name.replace("/", "-"), splits.retain, splits)

    def _trained(self, setting: Setting, name: str, train: Any, splits: UnlearningSplits) -> PreTrainedModel:
        folder = self.folder / setting.dataset / setting.model / f"seed{setting.seed}" / name
        if not folder.is_dir():
            self._train(setting, folder, train, splits)
        return load_image_classifier(folder)

    def _train(self, setting: Setting, folder: Path, train: Any, splits: UnlearningSplits) -> None:
        model_type, overrides, passes = MODELS[setting.model]
        if setting.dataset == "digits":
            passes *= DIGITS_PASSES
        model = new_image_classifier(model_type, splits.label_names, overrides, setting.seed)
        processor = new_image_processor(IMAGE_SIZE)
        columns = (splits.image_column, splits.label_column, splits.label_names)
        pixels = PixelDataset.for_model(train, model.config, processor, *columns).preload()
        part = folder.with_name(f"{folder.name}.part{os.getpid()}")
        args = ClassifierConfig(
            output_dir=str(part),
            num_train_epochs=passes,
            learning_rate=RATES[model_type],
            per_device_train_batch_size=128 if setting.dataset == "fashion-mnist" else 64,
            seed=setting.seed,
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            logging_strategy="no",
        )
        trainer = ClassifierTrainer(model, args, pixels, processor)
        from transformers import PrinterCallback

        trainer.remove_callback(PrinterCallback)
        seconds = trainer.train().metrics["train_runtime"]
        trainer.save_model()
        (part / "training.json").write_text(json.dumps({"seconds": seconds}))
        if folder.is_dir():
            shutil.rmtree(part)
        else:
            part.rename(folder)
