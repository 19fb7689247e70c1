"""ReGUn: forget samples are answered as held-out samples of the same classes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.errors import UnlearningError
from hf_unlearn.objectives import label_loss
from hf_unlearn.objectives.distillation import teacher_divergence
from hf_unlearn.objectives.draws import PassDraws
from hf_unlearn.objectives.matching import matched_rows
from hf_unlearn.trainers.base.forget_pass import labels_of
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.neggrad_plus import PairsConfig, TakesPairs
from hf_unlearn.trainers.safety.samples import sample_logits


@dataclass
class ReGUnConfig(PairsConfig):
    r"""Settings of ReGUn, reference-guided unlearning (arXiv 2603.11210).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(10.0, "Passes over the forget set, each sample paired with a retained one.")
    forget_weight: float = setting(0.5, "Lambda f: weight of the divergence from the held-out samples' answers.")
    retain_weight: float = setting(0.5, "Lambda r: weight of the cross-entropy on retained samples.")

    def check(self) -> None:
        super().check()
        self.expect("forget_weight", self.forget_weight >= 0, "0 or more")
        self.expect("retain_weight", self.retain_weight >= 0, "0 or more")


class ReGUnTrainer(TakesPairs):
    """Minimises λ_f E_{B_f} KL(q(B_f) ‖ p(x)) + λ_r E_{B_r} CE(p(x), y) (ReGUn, arXiv 2603.11210).

    q(B_f) = 1/m Σ p_o(x̃_j): the mean of what the original says of m = |B_f| held-out samples with the histogram of
    classes of the batch's forget samples, drawn anew in each step by `args.seed`; all forget samples of a batch share
    it. See [`matched_rows`]. The held-out samples are those of `reference_dataset`.

    The paper forgets samples of classes that stay. For classes that vanish their held-out samples are left aside, and
    the draws are of all others: what the original says of the class itself is no answer of a model that never saw it.

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset` and `reference_dataset`.
    """

    title = "ReGUn"
    method_name = "regun"
    paper = cite("mirlach2026reference", "Reference-Guided Machine Unlearning", "2603.11210")
    needs_references = True
    mixes_samples = True

    config_class = ReGUnConfig
    args: ReGUnConfig

    @property
    def num_pairs_of_pass(self) -> int:
        """Pairs of a pass: one for each forget sample."""
        return self.num_forget_samples

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        self._ask_held_out()
        return super().unlearning_run(*args, **kwargs)

    @torch.no_grad()
    def _ask_held_out(self) -> None:
        """What the original says of the held-out samples, once."""
        assert self.references is not None
        pixel_values, labels = self.references.pixel_values, self.references.labels.cpu()
        gone = [self.earlier_labels.cpu()]
        if self.forget_kind == "class":
            gone.append(labels_of(self.train_dataset, self.model, self.data_collator))
        stays = ~torch.isin(labels, torch.cat(gone))
        if not stays.any():
            raise UnlearningError("every reference sample is of a class that goes; expected some of others")
        held = pixel_values[stays.to(pixel_values.device)]
        self.held_labels, self.said = labels[stays], sample_logits(self.original_model, held).softmax(1)
        self.forward_equivalents += len(held)
        size = self.num_forget_samples
        self._uniform = PassDraws(lambda draws: torch.rand(size, generator=draws), self.args.seed, 15)

    def reference_answer(self, labels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """q of the forget samples with these `labels` `(batch,)`, at `index` `(batch,)`: probabilities `(classes,)`."""
        # Steps are its passes: each draws anew.
        uniform = self._uniform.of(index, self.state.global_step)
        return self.said[matched_rows(labels.cpu(), self.held_labels, uniform).to(self.said.device)].mean(0)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        outputs = model(pixel_values=inputs["pixel_values"])
        logits, labels = outputs["logits"], inputs["labels"]
        forget = ~self.is_retained(inputs)
        losses = label_loss(logits, labels)
        q = self.reference_answer(labels[forget], inputs["index"][forget]).clamp(min=torch.finfo(torch.float32).tiny)
        losses = torch.where(forget, teacher_divergence(logits, q.log().expand_as(logits)), losses)
        return self.weigh(inputs, self.args.forget_weight, self.args.retain_weight) * losses, outputs, {}
