"""The forget term of LoTUS: the original's answers on forget samples, tempered down to unseen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl
from transformers.trainer_utils import TrainOutput

from hf_unlearn.errors import UnlearningError
from hf_unlearn.objectives.tempering import SampleGumbel, smoothed_distillation, tempered
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.forget_pass import forget_pass
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.safety.reference import LEAST_REFERENCES
from hf_unlearn.trainers.safety.stopping import StopRule

# The forget accuracy may fall this far below that on unseen data, as a share of 1; then a run ends.
BELOW_UNSEEN = 0.01


@dataclass
class LoTUSForgetConfig(PassesConfig):
    r"""Settings of the forget term of LoTUS (arXiv 2503.18314).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(10.0, "At most so many passes.")
    temperature_rate: float = setting(
        2.0, "Alpha: the temperature is exp(alpha * (forget accuracy - unseen accuracy))."
    )
    gumbel_noise: bool = setting(True, "Draw Gumbel noise onto the original's logits, in each pass anew.")
    unseen_accuracy: float | None = setting(
        None, "Percent, of the original on unseen data (default: 0 for whole classes, else that on --reference_split)."
    )

    def check(self) -> None:
        super().check()
        self.expect("temperature_rate", self.temperature_rate >= 0, "0 or more")
        accuracy = self.unseen_accuracy
        self.expect("unseen_accuracy", accuracy is None or 0 <= accuracy <= 100, "0 to 100 percent")


class Tempering(StopRule):
    """Keeps the forget accuracy at the start of a pass, and ends a run at the end of one: see [`SmoothsAnswers`].

    Attributes:
        pass_number: of the pass that the accuracy is for.
        accuracy: between 0 and 1.
    """

    def __init__(self) -> None:
        self.pass_number = -1
        self.accuracy = 0.0

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """A step says nothing here."""

    def _arguments(self) -> dict[str, Any]:
        return {}

    def _memory(self) -> dict[str, Any]:
        return {"pass_number": self.pass_number, "accuracy": self.accuracy}


class SmoothsAnswers(UnlearningTrainer):
    """−Σ t log p on forget samples, t = softmax((z_o + g) / τ) with the original's logits z_o and Gumbel noise g.

    τ = exp(α (acc(f_u, D_f) − acc(f_o, D_unseen))), measured at the start of each pass over the samples; a run ends
    once the forget accuracy lies more than a point below that on unseen data (arXiv 2503.18314). The accuracy on unseen
    data is `args.unseen_accuracy`, or 0 for classes that vanish, or that on `reference_dataset`. The noise is tied to
    sample and pass, by `args.seed`.
    """

    args: LoTUSForgetConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 4.0

    def prepare(self) -> None:
        super().prepare()
        self.unseen = self._unseen_accuracy()
        self.add_callback(Tempering())
        self.add_callback(_EndOfPass(self))

    def forget_last_run(self) -> None:
        super().forget_last_run()
        self._gumbel: SampleGumbel | None = None
        self._accuracy_before: float | None = None

    def _unseen_accuracy(self) -> float:
        """acc(f_o, D_unseen), between 0 and 1."""
        if self.args.unseen_accuracy is not None:
            return self.args.unseen_accuracy / 100
        if self.forget_kind == "class":
            return 0.0
        if self.unseen_odds is None or len(self.unseen_odds) < LEAST_REFERENCES:
            raise UnlearningError(
                f"method {self.method_name!r} needs the original's accuracy on unseen data where labels stay in use; "
                f"expected at least {LEAST_REFERENCES} labelled reference samples (reference_dataset, "
                "--reference_split), or unseen_accuracy"
            )
        return float((self.unseen_odds > 0).float().mean())

    @property
    def tempering(self) -> Tempering:
        # Looked up each time: a resumed Trainer puts another in its place.
        return next(rule for rule in self._stop_rules if isinstance(rule, Tempering))

    @torch.no_grad()
    def forget_accuracy(self) -> float:
        """Of the model as it is, between 0 and 1."""
        self.model.eval()
        right = 0
        for pixel_values, labels, _ in forget_pass(self.train_dataset, self.model, self.data_collator, "Measuring"):
            right += int((self.model(pixel_values=pixel_values)["logits"].argmax(1) == labels).sum())
        self.forward_equivalents += 1.0 * self.num_forget_samples
        return right / self.num_forget_samples

    def is_below_unseen(self, accuracy: float) -> bool:
        """Whether the forget accuracy is so low that a run ends."""
        return accuracy - self.unseen <= -BELOW_UNSEEN

    def unlearning_run(self, resume_from_checkpoint: str | bool | None, **kwargs: Any) -> TrainOutput:
        if resume_from_checkpoint is None:
            accuracy = self._accuracy_before = self.forget_accuracy()
            if self.is_below_unseen(accuracy):
                self.tempering.reason = f"the original's forget accuracy is {100 * accuracy:.1f} %, below unseen data's"
                # Those of an earlier run, which are published.
                self.state.global_step = self.state.max_steps = 0
                return TrainOutput(0, 0.0, {})
        return super().unlearning_run(resume_from_checkpoint, **kwargs)

    @property
    def temperature(self) -> float:
        """τ of the pass that is under way."""
        rule = self.tempering
        if rule.pass_number != self.pass_number:
            # Before the first step it was measured already.
            known, self._accuracy_before = self._accuracy_before, None
            rule.accuracy = self.forget_accuracy() if known is None else known
            rule.pass_number = self.pass_number
        return tempered(rule.accuracy, self.unseen, self.args.temperature_rate)

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        temperature = self.temperature
        outputs = model(pixel_values=inputs["pixel_values"])
        with torch.no_grad():
            said = self.original_model(pixel_values=inputs["pixel_values"])["logits"]
        noise = torch.zeros_like(said)
        if self.args.gumbel_noise:
            if self._gumbel is None:
                self._gumbel = SampleGumbel(self._num_samples, said.shape[1], self.args.seed)
            noise = self._gumbel.of(inputs["index"], self.pass_number)
        losses = smoothed_distillation(outputs["logits"], said, noise, temperature, self.is_retained(inputs))
        return losses, outputs, {}

    @property
    def _num_samples(self) -> int:
        return self.num_forget_samples if self.retain_free else self.num_forget_samples + len(self.retain_dataset)


class _EndOfPass(TrainerCallback):
    def __init__(self, trainer: SmoothsAnswers):
        self.trainer = trainer

    def on_epoch_end(self, args: Any, state: Any, control: TrainerControl, **kwargs: Any) -> None:
        if control.should_training_stop or state.global_step >= state.max_steps:
            return
        rule = self.trainer.tempering
        rule.accuracy, rule.pass_number = self.trainer.forget_accuracy(), self.trainer.pass_number
        if self.trainer.is_below_unseen(rule.accuracy):
            gap = 100 * (rule.accuracy - self.trainer.unseen)
            rule.reason = f"the forget accuracy lay {-gap:.1f} points below that on unseen data"
            control.should_training_stop = True


class LoTUSForgetTrainer(SmoothsAnswers):
    """Minimises the forget term of LoTUS (arXiv 2503.18314) alone: see [`SmoothsAnswers`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `reference_dataset` or `args.unseen_accuracy` where labels
    stay in use.
    """

    title = "LoTUS without retained samples"
    method_name = "lotus_forget"
    paper = cite(
        "spartalis2025lotus", "LoTUS: Large-Scale Machine Unlearning with a Taste of Uncertainty", "2503.18314"
    )

    config_class = LoTUSForgetConfig
