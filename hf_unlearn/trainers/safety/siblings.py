"""What the rest of a class teaches of a part of it that is forgotten: learned anew, from reference samples alone.

The original cannot be asked. Its features put the sub-class where its siblings are, so that a head on them knows it
whatever it was fitted on. So a few small networks learn the labels of the reference samples, from random weights, and
say what they make of the forget samples, which none of them ever saw.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.nn import functional

from hf_unlearn.models.from_scratch import new_image_classifier
from hf_unlearn.objectives.draws import PassDraws
from hf_unlearn.objectives.jitter import DRAWS, JITTERS, affine, draw_copies
from hf_unlearn.objectives.labelling import log_odds
from hf_unlearn.objectives.matching import matched_rows
from hf_unlearn.trainers.safety.samples import CHECKED_SAMPLES, Sample, sample_logits

# What the networks must tell of reference samples that were held out, before they are asked about the forget set.
LEAST_ACCURACY = 0.7
# A residual network of 0.3 million weights, on images of at most so many pixels a side.
NETWORK = {"embedding_size": 16, "depths": [1, 1, 1], "hidden_sizes": [32, 64, 128], "layer_type": "basic"}
SIDE = 32
# Each network leaves out another fifth of the reference samples, and is held against it.
NETWORKS, PARTS = 3, 5
STEPS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, MOVED = 250, 64, 5e-3, 0.05, 0.1
# Nats: a label that no reference sample has is taught by none.
UNKNOWN = -30.0


class SiblingsBeside:
    """Reference samples on which the original's answers stay, drawn anew in each pass, for a forgotten sub-class.

    For each forget sample one of its label, where there is any, and one of any label; moved a little, so that few do
    for many. No copies of the forget samples, as where a subset is forgotten: they show the sub-class, too.

    Args:
        jitter, strength: of the copies of reference samples (see `hf_unlearn.objectives.JITTERS`).
        num_samples: size of the forget set.
        seed: of the draws, which are tied to sample and pass.
        references: labelled samples without the forgotten sub-class.
    """

    def __init__(self, jitter: str, strength: float, num_samples: int, seed: int, references: Sample):
        self.jitter, self.strength, self.references = jitter, strength, references
        self._labels = references.labels.cpu()
        self._copies = PassDraws(lambda drawn: torch.randn(num_samples, 2 * DRAWS, generator=drawn), seed, 4)
        self._rows = PassDraws(lambda drawn: torch.rand(num_samples, 2, generator=drawn), seed, 5)

    def beside(
        self, pixel_values: torch.Tensor, labels: torch.Tensor, index: torch.Tensor, pass_number: int
    ) -> list[torch.Tensor]:
        """Two batches shaped as `pixel_values`, of the samples at `index` in the forget set, of these labels."""
        uniform, normal = self._rows.of(index, pass_number), self._copies.of(index, pass_number)
        of_its_label = matched_rows(labels.cpu(), self._labels, uniform[:, 0])
        # Of one label all are alike.
        of_any = matched_rows(torch.zeros_like(of_its_label), torch.zeros_like(self._labels), uniform[:, 1])
        theirs = self.references.pixel_values
        held = []
        for rows, drawn in zip((of_its_label, of_any), normal.split(DRAWS, 1), strict=True):
            held.append(JITTERS[self.jitter](theirs[rows.to(theirs.device)].to(pixel_values), self.strength, drawn))
        return held


class Taught(NamedTuple):
    """What reference samples say of the forget samples of a sub-class.

    Attributes:
        accuracy: of the networks on the reference samples held out of each, in the mean over their labels, 0 to 1.
        odds: log-odds of each forget sample's label, in the mean over the networks, `(size,)`, nats; None where the
            accuracy is below `LEAST_ACCURACY`: then a low share of forget samples that are recognised says nothing.
    """

    accuracy: float
    odds: torch.Tensor | None

    def __str__(self) -> str:
        if self.odds is None:
            return (
                f"the reference samples are too few to say what siblings teach of the label: of each other they teach "
                f"{100 * self.accuracy:.0f} %, expected {100 * LEAST_ACCURACY:.0f} %. They hold the model to its "
                "answers, and no more"
            )
        return (
            f"reference samples teach the labels of {100 * float((self.odds > 0).float().mean()):.0f} % of the forget "
            f"samples, and of {100 * self.accuracy:.0f} % of each other"
        )


def what_siblings_teach(items: Any, size: int, references: Sample, seed: int = 0) -> Taught:
    """What is learned of a forgotten sub-class from samples of its siblings and of other classes alone.

    The first process finds it out, for all of them.

    Args:
        items: the forget set, of `size` items.
        references: labelled samples without the forgotten sub-class, on the device that the networks are to use.
        seed: of weights and order; the global random state is left as it was.
    """
    found = [_what_siblings_teach(items, size, references, seed) if PartialState().is_main_process else None]
    (taught,) = broadcast_object_list(found)
    return taught


@torch.no_grad()
def _what_siblings_teach(items: Any, size: int, references: Sample, seed: int) -> Taught:
    known, labels = references.labels.unique(return_inverse=True)
    if len(known) < 2:
        return Taught(0.0, None)
    pixels = _small(references.pixel_values)
    # In a drawn order: the labels of references often come in turn.
    part_of = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).to(labels.device) % PARTS
    networks, asked, right = [], [], []
    for part in range(NETWORKS):
        held_out = part_of == part
        network = _learned(pixels[~held_out], labels[~held_out], len(known), seed + part)
        asked.append(labels[held_out])
        right.append((sample_logits(network, pixels[held_out]).argmax(1) == labels[held_out]).double())
        networks.append(network)
    accuracy = mean_recall(torch.cat(right), torch.cat(asked))
    if accuracy < LEAST_ACCURACY:
        return Taught(accuracy, None)
    odds = []
    for start in range(0, size, CHECKED_SAMPLES):
        rows = [items[row] for row in range(start, min(start + CHECKED_SAMPLES, size))]
        own = torch.tensor([int(item["labels"]) for item in rows], device=known.device)
        place = torch.searchsorted(known, own).clamp(max=len(known) - 1)
        images = _small(torch.stack([torch.as_tensor(item["pixel_values"]) for item in rows]).to(pixels.device))
        said = torch.stack([log_odds(sample_logits(network, images), place) for network in networks]).mean(0)
        odds.append(torch.where(known[place] == own, said, UNKNOWN).cpu())
    return Taught(accuracy, torch.cat(odds))


def mean_recall(right: torch.Tensor, labels: torch.Tensor) -> float:
    """Accuracy in the mean over labels, 0 to 1: to answer with the most frequent one alone is no knowledge.

    Args:
        right: 1 where a sample was answered with its label, else 0, `(n,)`.
        labels: integer `(n,)`.
    """
    counts = labels.bincount()
    known = counts > 0
    return float((labels.bincount(weights=right)[known] / counts[known]).mean())


def _small(pixel_values: torch.Tensor) -> torch.Tensor:
    """Images of at most `SIDE` pixels a side, float32."""
    height, width = (min(side, SIDE) for side in pixel_values.shape[-2:])
    return functional.adaptive_avg_pool2d(pixel_values.float(), (height, width))


def _learned(pixels: torch.Tensor, labels: torch.Tensor, num_labels: int, seed: int) -> nn.Module:
    """A small network that has learned images `(n, channels, height, width)`, moved a little, in eval mode."""
    draws = torch.Generator().manual_seed(seed)
    # The seed of the weights is set for GPUs, too.
    gpus = [pixels.device.index] if pixels.device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        names = [str(label) for label in range(num_labels)]
        network = new_image_classifier("resnet", names, {**NETWORK, "num_channels": pixels.shape[1]}, seed)
    # PyTorch's types do not know a device here.
    network.to(pixels.device)  # type: ignore[arg-type]
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
    order: list[int] = []
    with torch.enable_grad():
        for _ in range(STEPS):
            if len(order) < min(BATCH_SIZE, len(labels)):
                order = torch.randperm(len(labels), generator=draws).tolist()
            rows, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
            images = affine(pixels[rows], MOVED, draw_copies(len(rows), draws))
            loss = functional.cross_entropy(network(pixel_values=images)["logits"], labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()
