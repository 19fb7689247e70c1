"""Samples as tensors, small models of any width and normalisation, and how they are trained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from regime_data import DataSource
from regime_models import ARCHITECTURES, Trained, augment
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from hf_unlearn.data.pixels import PixelDataset
from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.evaluation.predict import predict_logits
from hf_unlearn.models.from_scratch import new_image_classifier, new_image_processor
from hf_unlearn.models.model_cache import ModelCache

IMAGE_SIZE = 16
# The small architectures by short names, and the rates they learn with.
KINDS = {"resnet": "resnet-tiny", "vit": "vit-tiny"}
RATES = {"resnet": 4e-3, "vit": 2e-3}
BATCH_SIZE, WEIGHT_DECAY, WARM_UP = 64, 0.05, 0.1
AUGMENTATION = ("shift", "scale")


@dataclass
class Samples:
    """Samples of a split, as `hf_unlearn.evaluation` takes them.

    Args:
        pixels: `(samples, channels, height, width)`, from −1 to 1.
        labels: `(samples,)`: class ids, or targets of a regression.
    """

    pixels: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        return [{"pixel_values": self.pixels[i], "labels": self.labels[i].item(), "index": i} for i in indices]

    def at(self, rows: Any) -> Samples:
        """The samples at some positions, or where a mask is true."""
        chosen = torch.as_tensor(np.asarray(rows))
        return Samples(self.pixels[chosen], self.labels[chosen])

    def first(self, count: int) -> Samples:
        """At most so many."""
        return Samples(self.pixels[:count], self.labels[:count])


class Source(DataSource):
    """The datasets, and the trained models of the study of regimes.

    Args:
        characters, fashion_mnist: see `DataSource`.
        cache_dir: of scripts/study_regimes.py; what is missing there is trained and kept.
    """

    def __init__(self, characters: str, fashion_mnist: str, cache_dir: str):
        super().__init__(characters, fashion_mnist)
        self.trained = Trained(ModelCache(cache_dir), self)


def load(
    source: DataSource, dataset: str, image_size: int = IMAGE_SIZE, num_channels: int = 1
) -> tuple[Samples, Samples]:
    """Training and test samples of a dataset of `DataSource`, greyscale or of more channels."""
    data, processor = source.load(dataset), new_image_processor(image_size)
    splits = []
    for name in ("train", "test"):
        split = data[name]
        classes = range(split.features["label"].num_classes)
        pixels = PixelDataset(split, processor, "image", "label", classes, num_channels=num_channels)
        splits.append(Samples(pixels.process(range(len(pixels))), pixels.labels))
    return splits[0], splits[1]


def new_model(kind: str, num_labels: int, seed: int, width: int = 1, norm: str = "") -> Any:
    """A small model with random weights.

    Args:
        kind: of `KINDS`.
        num_labels: logits; 1 for a regression.
        width: how many times as wide as the narrowest.
        norm: of a ResNet: `""` as it is (BatchNorm), `"group"` for GroupNorm, `"none"` for no normalisation.
    """
    made = ARCHITECTURES[KINDS[kind]]
    wider = {"embedding_size", "hidden_sizes", "hidden_size", "intermediate_size"} if width > 1 else set()
    overrides = {
        name: (np.array(value) * width).tolist() if name in wider else value for name, value in made.overrides.items()
    }
    names = [str(label) for label in range(num_labels)]
    model = new_image_classifier(
        made.model_type, names, {**overrides, "num_channels": 1}, seed, made.image_size if kind == "vit" else None
    )
    if norm:
        _replace_norms(model, norm)
    return model


def _replace_norms(module: nn.Module, norm: str) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(8, child.num_features) if norm == "group" else nn.Identity())
        else:
            _replace_norms(child, norm)


def train(
    model: Any,
    samples: Samples,
    passes: int,
    rate: float,
    seed: int,
    augmentation: tuple[str, ...] = (),
    after_pass: Callable[[int], None] | None = None,
) -> Any:
    """Train in place with AdamW and a cosine with warm-up: cross-entropy, or squared error if labels are no integers.

    Args:
        rate: the highest of the schedule.
        augmentation: any of shift, scale, flip.
        after_pass: called with the number of passes made, in eval mode, before the first one, too.

    Returns:
        The model, in eval mode.
    """
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=WEIGHT_DECAY, fused=True)
    steps = passes * -(-len(samples) // BATCH_SIZE)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(WARM_UP * steps), steps)
    for made in itertools.count():
        model.eval()
        if after_pass is not None:
            after_pass(made)
        if made == passes:
            return model
        model.train()
        for batch in batches(len(samples)):
            pixels = samples.pixels[batch]
            if augmentation:
                pixels = augment(pixels, augmentation)
            loss_of(model(pixel_values=pixels)["logits"], samples.labels[batch]).mean().backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def batches(count: int) -> Iterator[torch.Tensor]:
    """Positions of the samples of a pass in random order."""
    # BatchNorm cannot take a batch of one.
    yield from (batch for batch in torch.randperm(count).split(BATCH_SIZE) if len(batch) > 1 or count == 1)


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of each sample: cross-entropy, or the squared error of a regression."""
    if labels.is_floating_point():
        return (logits[:, 0] - labels).square()
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def logits_of(model: Any, samples: Samples) -> np.ndarray:
    """`(samples, num_labels)`."""
    return predict_logits({"m": model}, samples)["m"]


def percent_right(model: Any, samples: Samples, among: np.ndarray | None = None) -> float:
    """Accuracy, of the samples where `among` is true."""
    return accuracy(logits_of(model, samples), samples.labels.numpy(), among) or 0.0
