"""ESC-T: ESC with a learned mask of what is erased."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hf_unlearn.objectives.subspaces import learned_mask, masked_projection, principal_directions
from hf_unlearn.trainers.base.at_once import AtOnceConfig
from hf_unlearn.trainers.base.heads import linear_head
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.methods.esc import ErasesDirections, ESCTrainer


@dataclass
class ESCTConfig(AtOnceConfig):
    r"""Settings of ESC-T (arXiv 2504.02199).

    Raises:
        UnlearningError: a value outside its range.
    """

    mask_passes: int = setting(50, "At most so many passes over the forget set to learn the mask.")
    mask_learning_rate: float = setting(
        1.0, "Of the mask's plain gradient steps. The authors' 1e-3 left the small models of this library as they were."
    )
    mask_batch_size: int = setting(64, "Forget samples a step of the mask.")
    mask_threshold: float = setting(0.7, "Elements of the mask above it stay, the others are erased.")

    def check(self) -> None:
        super().check()
        self.expect("mask_passes", self.mask_passes >= 1, "at least 1 pass")
        self.expect("mask_learning_rate", self.mask_learning_rate > 0, "a number above 0")
        self.expect("mask_batch_size", self.mask_batch_size >= 1, "at least 1 sample")
        self.expect("mask_threshold", 0 < self.mask_threshold < 1, "between 0 and 1")


class ESCTTrainer(ErasesDirections, UnlearningTrainer):
    """Answers with W (U ⊙ M)(U ⊙ M)ᵀ f + b, U the singular directions of the forget set's features f, M a learned mask.

    M starts at 1 and ascends the cross-entropy of the forget samples that are still classified as labelled; what ends
    above `args.mask_threshold` becomes 1, the rest 0 (ESC-T of arXiv 2504.02199). The samples' order is that of
    `args.seed`. The projection is folded into the head: see [`ErasesDirections`].

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "ESC-T"
    method_name = "esc_t"
    paper = ESCTrainer.paper
    unlearns_adapters = False

    config_class = ESCTConfig
    args: ESCTConfig

    def change_weights(self) -> str:
        features, labels = self.features()
        directions = principal_directions(features)
        head = linear_head(self.model, self.train_dataset)
        mask, passes = learned_mask(
            directions,
            features,
            labels,
            head.weight.detach().cpu(),
            None if head.bias is None else head.bias.detach().cpu(),
            passes=self.args.mask_passes,
            rate=self.args.mask_learning_rate,
            batch_size=self.args.mask_batch_size,
            generator=torch.Generator().manual_seed(self.args.seed),
        )
        kept = (mask > self.args.mask_threshold).to(mask)
        self.fold(masked_projection(directions, kept))
        erased = int((kept == 0).sum())
        return f"{erased} of {kept.numel()} elements were erased, after {passes} passes over the features"
