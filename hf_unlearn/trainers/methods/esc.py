"""ESC: the directions in which the features of the forget set lie are erased."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hf_unlearn.objectives.subspaces import principal_directions, without_leading
from hf_unlearn.trainers.base.at_once import AtOnceConfig, ChangesAtOnce
from hf_unlearn.trainers.base.forget_pass import forget_pass
from hf_unlearn.trainers.base.heads import linear_head
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.safety.unfamiliar import Caught


@dataclass
class ESCConfig(AtOnceConfig):
    r"""Settings of ESC, erasing space concept (arXiv 2504.02199).

    Raises:
        UnlearningError: a value outside its range.
    """

    erased_percent: float = setting(1.5, "p: this many percent of the directions are erased, at least one.")

    def check(self) -> None:
        super().check()
        self.expect("erased_percent", 0 < self.erased_percent <= 100, "above 0, at most 100 percent")


class ErasesDirections(ChangesAtOnce):
    """Mixed into an `UnlearningTrainer`: logits = W P f + b with P a projection of the features f.

    P is folded into the head, W ← W P: the answers are those of the paper's layer between body and head, and the
    weights before it stay as they are. So the features before the head do not change, which a probe of them sees.
    """

    def features(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the forget set before the head, `(num_samples, width)`, and its labels `(num_samples,)`, on the CPU."""
        found: list[torch.Tensor] = []
        labels: list[torch.Tensor] = []
        with Caught(self.model, self.train_dataset) as caught:
            for batch in forget_pass(self.train_dataset, self.model, self.data_collator, "Taking features"):
                self.model(pixel_values=batch.pixel_values)
                found.append(caught.features.cpu())
                labels.append(batch.labels.cpu())
        self.forward_equivalents += 1.0 * self.num_forget_samples
        return torch.cat(found), torch.cat(labels)

    def fold(self, projection: torch.Tensor) -> None:
        """W ← W P, with P `(width, width)`."""
        head = linear_head(self.model, self.train_dataset)
        head.weight.copy_(head.weight.cpu().double() @ projection)


class ESCTrainer(ErasesDirections, UnlearningTrainer):
    """Answers with W U_p U_pᵀ f + b, U_p the singular directions of the forget set's features f but the leading p %.

    ESC of arXiv 2504.02199, without training. P = U_p U_pᵀ is folded into the head: see [`ErasesDirections`].

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "ESC"
    method_name = "esc"
    paper = cite("lee2025esc", "ESC: Erasing Space Concept for Knowledge Deletion", "2504.02199")
    unlearns_adapters = False

    config_class = ESCConfig
    args: ESCConfig

    def change_weights(self) -> str:
        features, _ = self.features()
        directions = principal_directions(features)
        width = directions.shape[1]
        erased = max(1, int(width * self.args.erased_percent / 100))
        self.fold(without_leading(directions, erased))
        return f"{erased} of {width} directions were erased"
