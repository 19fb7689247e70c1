"""How the models of the study of regimes are made: architectures, training recipes, and the regimes themselves."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from regime_data import DataSource, digest_of
from transformers import BaseImageProcessor, PreTrainedModel, PrinterCallback

from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.models.from_scratch import new_image_classifier, new_image_processor
from hf_unlearn.models.model_cache import ModelCache
from hf_unlearn.objectives.affine import moved
from hf_unlearn.request.fingerprint import indices_sha256
from hf_unlearn.trainers.base.classifier import ClassifierConfig, ClassifierTrainer

RESNET = {"embedding_size": 32, "depths": [2, 2, 2], "layer_type": "basic"}
RESNET18 = {
    "embedding_size": 64,
    "depths": [2, 2, 2, 2],
    "hidden_sizes": [64, 128, 256, 512],
    "layer_type": "basic",
}

CONVNEXT = {"hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 2, 1], "patch_size": 2}


class Architecture(NamedTuple):
    """An architecture's name in transformers, its configuration, and the side of its images in pixels."""

    model_type: str
    overrides: dict[str, Any]
    image_size: int


def _vit(width: int, layers: int, image_size: int, patch_size: int) -> Architecture:
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": 4 * width}
    return Architecture("vit", {**sizes, "patch_size": patch_size, "num_attention_heads": 4}, image_size)


ARCHITECTURES = {
    # 0.7, 11.2; 0.3, 0.6, 5.6, 0.9 million parameters.
    "resnet": Architecture("resnet", {**RESNET, "hidden_sizes": [32, 64, 128]}, 32),
    "resnet-18": Architecture("resnet", RESNET18, 32),
    "vit": _vit(96, 3, 32, 8),
    "vit-wide": _vit(128, 3, 32, 8),
    "convnext": Architecture("convnext", CONVNEXT, 32),
    # For many runs in a row.
    "resnet-tiny": Architecture("resnet", {**RESNET, "depths": [1, 1, 1], "hidden_sizes": [16, 32, 64]}, 16),
    "vit-tiny": _vit(48, 2, 16, 4),
    "vit-5m": _vit(272, 6, 32, 8),
    "resnet-18-96px": Architecture("resnet", RESNET18, 96),
    "vit-96px": _vit(128, 4, 96, 16),
}


@dataclass(frozen=True)
class Recipe:
    """All that a trained model depends on, but for what is left out of its data.

    Args:
        architecture: a key of `ARCHITECTURES`.
        dataset: a name that [`DataSource.load`] knows.
        passes: over the training set.
        learning_rate: peak of a cosine with a warm-up of a tenth; AdamW, weight decay 0.05.
        augmentation: any of shift, scale, flip.
        pretrained: the recipe of the model whose weights, but for the head, it starts from.
        label_column: `label` or `folded`.
        seed: of weights and order.
    """

    architecture: str
    dataset: str
    passes: float
    learning_rate: float = 2e-3
    batch_size: int = 64
    augmentation: tuple[str, ...] = ()
    pretrained: Recipe | None = None
    label_column: str = "label"
    seed: int = 0

    def with_seed(self, seed: int) -> Recipe:
        """The same recipe with another seed, of its pretraining, too."""
        pretrained = None if self.pretrained is None else self.pretrained.with_seed(seed)
        return replace(self, seed=seed, pretrained=pretrained)


class Trained:
    """Trained models by recipe and samples left out."""

    def __init__(self, cache: ModelCache, source: DataSource):
        self.cache = cache
        self.source = source
        self._digests: dict[tuple[str, str], str] = {}

    def model(self, folder: str, recipe: Recipe, name: str, left_out: np.ndarray | None = None) -> PreTrainedModel:
        """The model of a recipe, trained without the samples at the indices `left_out`.

        Args:
            folder: of the cache, for instance the regime's name.
            name: `original`, or the request's.
        """
        key = f"{folder}/{recipe.dataset}/{recipe.architecture}/seed{recipe.seed}/{recipe.label_column}-{name}"
        path = key.replace(":", "-").replace("%", "pct").replace(" ", "-")
        out = np.zeros(0, int) if left_out is None else np.sort(left_out)
        whole = {**asdict(recipe), "data": self._digest(recipe), "left_out": indices_sha256(out)[:16]}
        return self.cache.model(path, whole, lambda: self._train(folder, recipe, out))

    def _digest(self, recipe: Recipe) -> str:
        key = (recipe.dataset, recipe.label_column)
        if key not in self._digests:
            self._digests[key] = digest_of(self.source.load(recipe.dataset)["train"])
        return self._digests[key]

    def _train(self, folder: str, recipe: Recipe, out: np.ndarray) -> tuple[PreTrainedModel, BaseImageProcessor, float]:
        data = self.source.load(recipe.dataset)["train"]
        names = data.features[recipe.label_column].names
        made = ARCHITECTURES[recipe.architecture]
        model = new_image_classifier(made.model_type, names, made.overrides, recipe.seed, made.image_size)
        if recipe.pretrained is not None:
            _copy_body(self.model("pretrained", recipe.pretrained, "original"), model)
        processor = new_image_processor(made.image_size)
        kept = data.select(np.setdiff1d(np.arange(len(data)), out)) if len(out) else data
        pixels = PixelDataset.for_model(kept, model.config, processor, "image", recipe.label_column, names).preload()
        if made.model_type == "resnet":
            _lay_out(model, torch.channels_last)
        args = ClassifierConfig(
            output_dir=str(self.cache.folder / "unused"),
            num_train_epochs=recipe.passes,
            learning_rate=recipe.learning_rate,
            per_device_train_batch_size=recipe.batch_size,
            seed=recipe.seed,
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            logging_strategy="no",
        )
        trainer = AugmentedTrainer(model, args, pixels, processor)
        trainer.remove_callback(PrinterCallback)
        trainer.augmentation = recipe.augmentation
        started = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - started
        _lay_out(model, torch.contiguous_format)
        return model, processor, seconds


class AugmentedTrainer(ClassifierTrainer):
    """Shifts, scales and flips a batch before it is learned."""

    augmentation: tuple[str, ...] = ()

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if self.augmentation:
            inputs = {**inputs, "pixel_values": augment(inputs["pixel_values"], self.augmentation)}
        return super().compute_loss(model, inputs, *args, **kwargs)


def augment(pixel_values: torch.Tensor, kinds: tuple[str, ...]) -> torch.Tensor:
    """Images moved by up to an eighth of their side, 0.85 to 1.15 times as large, mirrored with chance one half.

    Args:
        pixel_values: `(batch, channels, height, width)`.
        kinds: which of shift, scale, flip.

    Returns:
        Shaped as `pixel_values`; beyond the edge the edge goes on.
    """
    count = len(pixel_values)
    matrix = torch.eye(2, 3).repeat(count, 1, 1)
    if "scale" in kinds:
        matrix[:, :, :2] *= 1 + 0.15 * (2 * torch.rand(count, 1, 1) - 1)
    if "flip" in kinds:
        matrix[:, 0] *= torch.where(torch.rand(count, 1) < 0.5, -1.0, 1.0)
    if "shift" in kinds:
        matrix[:, :, 2] = (2 * torch.rand(count, 2) - 1) / 4
    return moved(pixel_values, matrix, "border")


def _lay_out(model: Any, memory_format: torch.memory_format) -> None:
    """Convolutions are a fifth faster on a CPU with channels last. PyTorch's types do not know the argument."""
    model.to(memory_format=memory_format)


def _copy_body(trained: PreTrainedModel, model: PreTrainedModel) -> None:
    """All weights but the head's, whose shape is another."""
    weights = trained.state_dict()
    own = model.state_dict()
    model.load_state_dict(
        {name: weights[name] if weights[name].shape == own[name].shape else own[name] for name in own}
    )
