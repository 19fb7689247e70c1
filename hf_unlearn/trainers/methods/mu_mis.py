"""MU-Mis: unlearning by suppressing a sample's contribution, on the forget set alone (arXiv 2402.15109)."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from transformers.trainer_utils import TrainOutput

from hf_unlearn.errors import UnlearningError, did_you_mean
from hf_unlearn.objectives import (
    JITTERS,
    OBJECTIVES,
    IrrelevantClassSampler,
    Objective,
    Surroundings,
    shifted_divergence,
    single_backward,
    zero_of,
)
from hf_unlearn.trainers.base.config import UnlearningConfig
from hf_unlearn.trainers.base.sensitivities import TakesSensitivities
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.step_length import fill_step_length
from hf_unlearn.trainers.base.trainer import UnlearningTrainer
from hf_unlearn.trainers.safety.memory import Beside, Memory, cost_of, held_beside, measure_memory
from hf_unlearn.trainers.safety.premise import Premise
from hf_unlearn.trainers.safety.reference import what_references_say
from hf_unlearn.trainers.safety.steering import Steering
from hf_unlearn.trainers.safety.unfamiliar import Exchange, Unfamiliar, answers_alone, check_features, find_unfamiliar
from hf_unlearn.trainers.safety.wrong_way import WrongWay

# Where the labels stay in use: the most steps and passes, and the weight of the forget samples' own term.
STEPS_OF_A_SUBSET, PASSES_OF_A_SUBSET, GUARD_OF_A_SUBSET = 480, 40, 4.0
# Where the features of whole classes are moved: the same, against what that does to the rest; so, too, a sub-class.
STEPS_OF_FEATURES, SURROUNDINGS_HELD = 360, 5.0

logger = logging.getLogger(__name__)


@dataclass
class MUMisConfig(UnlearningConfig):
    r"""Settings of MU-Mis (arXiv 2402.15109).

    What depends on the request is None until the trainer knows it, which then says what it comes to: `max_steps`,
    `num_rounds`, `stop_rule`, `step_rule`, `label_shift` and the weights; and `learning_rate`, which depends on the
    model. What is set stays as it is set. See [`settings_of_request`].

    Raises:
        UnlearningError: an unknown objective, or a value outside its range.
    """

    max_steps: int | None = setting(  # type: ignore[assignment]
        None,
        "At most this many steps, all rounds together; -1: num_train_epochs says it (default: 360 where features are "
        "moved, 480 where the labels stay in use, else 180).",
    )
    stop_rule: str | None = setting(  # type: ignore[assignment]
        None,
        "When to stop before max_steps. round: at the end of a round, once target_forget_accuracy is met; steps: not; "
        "forget_accuracy: at target_forget_accuracy; loss_drop: once the "
        "loss fell by stop_delta (paper, v1); irrelevant_recovery: once the irrelevant sensitivity, after a dip, is "
        "back above stop_delta times its start (paper, v4); plateau: once the confidence in the forgotten labels "
        "stopped falling; unseen: once the forget set looks like the unseen data that the trainer was given "
        "(default: steps where features are moved or the labels stay in use, else round).",
        choices=["round", "steps", "forget_accuracy", "loss_drop", "irrelevant_recovery", "plateau", "unseen"],
    )
    num_rounds: int | None = setting(  # type: ignore[assignment]
        None,
        "Rounds that the steps are parted into; in each their length falls to nothing. 0: one for every 60 steps "
        "(default: 0, and 1 where the labels stay in use).",
    )
    step_rule: str | None = setting(  # type: ignore[assignment]
        None,
        "relative: w <- w - lr * |w| * g / |g|, which cannot run away; relative_adam: the same in Adam's direction; "
        "optim: the optimizer named by --optim, with --learning_rate and --max_grad_norm as in any Trainer "
        "(default: relative_adam where features are moved, else relative).",
        choices=["relative", "relative_adam", "optim"],
    )
    learning_rate: float | None = setting(  # type: ignore[assignment]
        None,
        "Length of a step, as a fraction of the weights' norm (default: 0.002; above 128 features before the head "
        "shorter, with the square root of their number).",
    )
    objective: str = setting(
        "matched",
        "matched: bring the target's sensitivity to the level of irrelevant ones, with guards that keep the rest; "
        "anchored: lower the logarithm of their ratio, with the guards; difference: |grad f_c|^2 - |grad f_c'|^2, as "
        "published; log_ratio: the logarithm of the ratio alone.",
        choices=["matched", "anchored", "difference", "log_ratio"],
    )
    alpha_target: float = setting(1.0, "Weight of the target term (paper, App. F.4).")
    alpha_irrelevant: float = setting(1.0, "Weight of the irrelevant term (paper, App. F.4).")
    num_irrelevant_classes: int = setting(1, "Irrelevant classes a sample, drawn anew in each pass; 0: all others.")
    irrelevant_cap: float | None = setting(
        None, "Raise no irrelevant sensitivity above this many times its mean before the first step."
    )
    label_shift: float | None = setting(
        None,
        "By how many nats the guard's target lowers a forget sample's own logit below the original's (default: "
        "infinite for whole classes; where the labels stay in use each sample's own amount, measured on copies of it).",
    )
    jitter: str = setting(
        "affine",
        "Kind of the copies that show how much of a forget sample is memory, where the labels stay in use: affine, "
        "noise, blur, colour, mask. Choose one that leaves what the images show.",
        choices=["affine", "noise", "blur", "colour", "mask"],
    )
    sensitivity_weight: float | None = setting(
        None, "Weight of the sensitivity term (default: the objective's, and 0 where the labels stay in use)."
    )
    guard_weight: float | None = setting(
        None, "Weight of the divergence from the original over the other classes (default: the objective's)."
    )
    surroundings_weight: float | None = setting(
        None,
        "Weight of the same on inputs near the forget samples (default: the objective's, and 5 where features are "
        "moved or a sub-class goes).",
    )
    features_weight: float | None = setting(
        None,
        "Weight of the term that moves the features of whole classes to where the original has those of unfamiliar "
        "inputs; 0: the answers alone change, in half the steps (default: the objective's, and 0 where the labels stay "
        "in use).",
    )

    def check(self) -> None:
        super().check()
        if self.objective not in OBJECTIVES:
            raise UnlearningError(
                f"objective {self.objective!r} is not known; {did_you_mean(self.objective, OBJECTIVES)}"
            )
        self.expect("num_irrelevant_classes", self.num_irrelevant_classes >= 0, "0 (all others) or more")
        self.expect("irrelevant_cap", self.irrelevant_cap is None or self.irrelevant_cap > 0, "a factor above 0")
        if self.jitter not in JITTERS:
            raise UnlearningError(f"jitter {self.jitter!r} is not known; {did_you_mean(self.jitter, JITTERS)}")
        self.expect("label_shift", self.label_shift is None or self.label_shift >= 0, "0 or more nats")
        if any(weight < 0 for weight in self.weights[1:]):
            raise UnlearningError(f"the objective has a negative weight: {self.weights[1:]}; expected 0 or more")
        if not any(self.weights[1:]):
            raise UnlearningError("all weights of the objective are 0; expected one above 0")

    def settings_of_request(self, forget_kind: str) -> dict[str, Any]:
        """What the settings that depend on the request come to.

        - Whole classes: nothing teaches their label any more. Their samples are to be what unfamiliar inputs are to the
          original (see [`hf_unlearn.objectives.unfamiliar`]), and the sensitivity of their own logit goes to the level
          of irrelevant ones. With `features_weight=0` the target is the original's answer without the class.
        - A sub-class, or a subset of classes that stay (random samples, a person's rows): other samples still teach
          the label. How much less sure of it a model is that never saw the samples is measured for each of them
          before the first step (see [`hf_unlearn.trainers.safety.memory`]), unless `label_shift` says it.

        Where the label stays in use its sensitivity does, too: those two leave the sensitivity alone. Objectives
        without guards are left as they were published.
        """
        own = self.weights
        moves = forget_kind == "class" and self.label_shift in (None, math.inf)
        settings: dict[str, Any] = {
            "max_steps": 180,
            "num_rounds": 0,
            "stop_rule": "steps" if self.max_steps == -1 else "round",
            "step_rule": "relative",
            "features_weight": own.features if moves else 0.0,
            "sensitivity_weight": own.sensitivity,
            "guard_weight": own.guard,
            "surroundings_weight": own.surroundings,
        }
        if own.guard or own.surroundings:
            if forget_kind == "class":
                settings["label_shift"] = math.inf
                if own.features and moves:
                    settings |= {"max_steps": STEPS_OF_FEATURES, "stop_rule": "steps", "step_rule": "relative_adam"}
                    if self.surroundings_weight is None:
                        settings["surroundings_weight"] = SURROUNDINGS_HELD
            elif OBJECTIVES[self.objective].guard:
                # That the shift is left to the samples follows from the request: it is published with the rest.
                settings |= {"label_shift": None, "sensitivity_weight": 0.0, "guard_weight": GUARD_OF_A_SUBSET}
                # One long round: each new one would begin with steps that undo what the last had settled.
                settings |= {"max_steps": STEPS_OF_A_SUBSET, "num_rounds": 1, "stop_rule": "steps"}
                if forget_kind == "subclass" and own.surroundings and self.surroundings_weight is None:
                    settings["surroundings_weight"] = SURROUNDINGS_HELD
        return settings

    @property
    def weights(self) -> Objective:
        """The objective with the weights that were set put in the place of its own."""
        own = OBJECTIVES[self.objective]
        return own._replace(
            sensitivity=own.sensitivity if self.sensitivity_weight is None else self.sensitivity_weight,
            guard=own.guard if self.guard_weight is None else self.guard_weight,
            surroundings=own.surroundings if self.surroundings_weight is None else self.surroundings_weight,
            features=own.features if self.features_weight is None else self.features_weight,
        )


class MUMisTrainer(TakesSensitivities, UnlearningTrainer):
    """Suppresses the input sensitivity of a sample's own logit relative to that of irrelevant ones.

    With `objective="difference"` the loss is the paper's (arXiv 2402.15109, Eq. 3):
    L(D_f; w) = 1/|D_f| Σ_{x ∈ D_f} ( ‖∇ₓ f_c(x, w)‖_F² − ‖∇ₓ f_c'(x, w)‖_F² ), with f the logits, c the sample's
    class, and c' ≠ c an irrelevant class a sample, drawn uniformly anew in each pass over the forget set from a
    generator seeded with `args.seed`.

    The default, `"matched"`, brings the sensitivity of the own logit to the level of irrelevant ones and adds guards,
    still from the forget set and the original model alone: see [`hf_unlearn.objectives.Objective`]. A copy of the
    original model is kept in memory.

    Arguments and errors as for [`UnlearningTrainer`]; a batch needs `index`, the sample's position in the forget set.
    """

    title = "MU-Mis"
    method_name = "mu_mis"
    paper = {
        "title": "Machine Unlearning by Suppressing Sample Contribution",
        "id": "2402.15109",
        "citation": """@article{cheng2024machine,
  title = {Machine Unlearning by Suppressing Sample Contribution},
  author = {Cheng, Xinwen and Huang, Zhehao and Huang, Xiaolin},
  journal = {arXiv preprint arXiv:2402.15109},
  year = {2024},
}""",
    }

    second_order, leaves_a_class = True, False  # Where no class is left, sensitivities still fall.
    config_class = MUMisConfig
    args: MUMisConfig

    def prepare(self) -> None:
        num_labels = int(self.model.config.num_labels or 0)
        if self.args.num_irrelevant_classes >= num_labels:
            raise UnlearningError(
                f"num_irrelevant_classes is {self.args.num_irrelevant_classes}; expected at most {num_labels - 1}, "
                f"since the model has {num_labels} labels"
            )
        fill_step_length(self.args, self.model, self.filled_settings)
        self.objective: Objective = self.args.weights
        check_features(self.args, self.objective.features, self.forget_kind)
        # With a guard sensitivities may fall before the confidence does; without one that is the wrong way.
        self.add_callback(WrongWay(min(96, self.num_forget_samples or 96), watch_sensitivity=not self.objective.guard))
        self.keeps_earlier = guarded = bool(self.objective.guard or self.objective.surroundings)
        # Is each sample's own amount measured, or does nothing teach the labels any more? Else answers near stay right.
        self._by_memory = guarded and self.args.label_shift is None
        self._goes = not self._by_memory and self.args.label_shift in (None, math.inf)
        self._near_shift = math.inf if self._goes else 0.0

    @classmethod
    def figures(cls, args: UnlearningConfig) -> tuple[str, ...]:
        objective = cast(MUMisConfig, args).weights
        if not objective.sensitivity:
            return ()
        target = ("target_sensitivity",)
        return target if objective.term == "matched" else (*target, "irrelevant_sensitivity")

    def forget_last_run(self) -> None:
        self._irrelevant: IrrelevantClassSampler | None = None
        self._surroundings: Surroundings | None = None
        self.premise: Premise | None = None
        self.memory: Memory | None = None
        self._held: Beside | None = None
        self._unfamiliar: Unfamiliar | None = None
        self._ceiling = math.inf

    def before_first_step(self) -> None:
        if self.num_forget_samples and self._by_memory:
            data, seed = (self.train_dataset, self.num_forget_samples), self.args.seed
            said = what_references_say(self.references, self.forget_kind, *data, seed)
            asked = self.original_model, *data, self.args.jitter, seed, *said[:2], self.earlier_labels
            self.memory = measure_memory(*asked).not_taught_again(self.original_model, self.guide, self.train_dataset)
            self.forward_equivalents += cost_of(self.num_forget_samples, said.unseen is not None)
            self.remove_callback(Steering)
            self.add_callback(Steering(self.memory.expected, min(self.args.stop_window, self.num_forget_samples)))
            for line in (*said.lines, self.memory) if self.is_world_process_zero() else ():
                logger.warning("%s", line)
        if self.num_forget_samples and self._goes and self.objective.features:
            given = self.train_dataset, self.num_forget_samples, self.classes_that_go(), self.args.seed
            self._unfamiliar = find_unfamiliar(self.guide, *given)
            self.remove_callback(Exchange)
            if self._unfamiliar is None:
                self.objective = answers_alone(self.args, self.filled_settings)
            else:
                self.add_callback(Exchange())
        if self.num_forget_samples and self.objective.sensitivity:
            self.premise = self._measure_premise()
            logger.info("%s", self.premise)
            if self.args.irrelevant_cap is not None:
                self._ceiling = self.args.irrelevant_cap * self.premise.irrelevant

    @property
    def forward_equivalents_per_sample(self) -> float:
        """Cost of the loss and its gradient, in forward passes of one sample.

        A forward pass, and for each sensitivity a vector-Jacobian product and three passes back through it (two where
        the network is piecewise linear: this is the dearer count). Then a pass of the original model, and on the inputs
        near the samples one of each model and the way back.
        """
        count = self.args.num_irrelevant_classes or int(self.model.config.num_labels or 0) - 1
        if self.objective.term == "matched":
            count = 0
        cost = 1.0 + 4.0 * (1 + count) if self.objective.sensitivity else 3.0
        near = 4.0 * (1 + self._by_memory + (self._by_memory and self.references is not None))
        return cost + (1.0 if self.objective.guard else 0.0) + (near if self.objective.surroundings else 0.0)

    def num_steps(self) -> int:
        steps = super().num_steps()
        if self.memory is None or "max_steps" not in self.followed_settings:
            return steps
        return min(steps, math.ceil(PASSES_OF_A_SUBSET * self.num_forget_samples / self.step_size))

    def unlearning_run(self, *args: Any, **kwargs: Any) -> TrainOutput:
        if self._unfamiliar is not None:
            with self._unfamiliar.at_work_on(self.model):
                return super().unlearning_run(*args, **kwargs)
        if self.memory is None or not self.memory.nothing:
            return super().unlearning_run(*args, **kwargs)
        # A step has a length of its own: with nothing to gain it would only do damage.
        self.state.global_step = self.state.max_steps = 0
        return TrainOutput(0, 0.0, {})

    @property
    def stop_reason(self) -> str:
        return str(self.memory) if self.memory is not None and self.memory.nothing else super().stop_reason

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        labels, index = inputs["labels"], inputs["index"]
        pixel_values = inputs["pixel_values"].detach()
        near = self._near(pixel_values, labels, index) if self.objective.surroundings else None
        targets = None if self._unfamiliar is None else self._unfamiliar.targets(index, self._stop_rules)
        outputs = model(pixel_values=pixel_values.requires_grad_(bool(self.objective.sensitivity)))
        logits = outputs["logits"]
        losses = torch.zeros(len(labels), device=logits.device)
        figures: dict[str, torch.Tensor] = {}
        if self.objective.sensitivity:
            term, figures = self._sensitivity_term(logits, pixel_values, labels, index)
            losses = losses + self.objective.sensitivity * term
        if self._unfamiliar is not None and targets is not None:
            figures["features"] = self._unfamiliar.apart_from(targets.features)
            losses = losses + self.objective.features * figures["features"]
        if self.objective.guard or self.objective.surroundings:
            seen = pixel_values if near is None else torch.cat([pixel_values, near])
            with torch.no_grad(), single_backward():
                said = self.guide(pixel_values=seen)["logits"]
            shares = said[: len(labels)].float().softmax(-1)
            figures["original_confidence"] = shares.gather(1, labels.unsqueeze(1)).squeeze(1)
            # What went with earlier requests is not to come back.
            said = said.index_fill(1, self.earlier_labels.to(said.device), -math.inf)
            lowered = self._lowered(labels, logits.shape[-1])
            if self.objective.guard:
                wanted = said[: len(labels)] if targets is None else targets.answers
                figures["guard"] = shifted_divergence(logits, wanted, lowered, self._amounts(index))
                losses = losses + self.objective.guard * figures["guard"]
            if near is not None:
                with single_backward():
                    near_logits = model(pixel_values=near)["logits"]
                copies = len(near) // len(labels)
                same = lowered.repeat(copies, 1)
                apart = shifted_divergence(near_logits, said[len(labels) :], same, self._near_shift)
                figures["surroundings"] = apart.view(copies, -1).sum(0)
                losses = losses + self.objective.surroundings * figures["surroundings"]
                if self._unfamiliar is not None:
                    losses = losses + self.objective.features * self._unfamiliar.moved()
        return losses, outputs, figures

    def zero_of_all_weights(self, logits: torch.Tensor) -> torch.Tensor:
        if self.objective.guard or self.objective.surroundings:
            return super().zero_of_all_weights(logits)
        # Sensitivities alone do not go through the logits: in a piecewise-linear network this saves a whole way back.
        return zero_of(parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def _lowered(self, labels: torch.Tensor, num_labels: int) -> torch.Tensor:
        """Which logits the guard lowers, `(batch, num_labels)`: the own one, or those of all classes that go."""
        own = torch.nn.functional.one_hot(labels, num_labels).bool()
        if not self._goes:
            return own
        return own.index_fill(1, self.classes_that_go().to(labels.device), True)

    def classes_that_go(self) -> torch.Tensor:
        return super().classes_that_go() if self._goes else self.earlier_labels

    def _near(self, pixel_values: torch.Tensor, labels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        if self._surroundings is None:
            self._surroundings = Surroundings(self.num_forget_samples, self.args.seed)
        near = self._surroundings.near(pixel_values, index, self.pass_number)
        if self.memory is None:
            return near
        if self._held is None:
            self._held = held_beside(self.memory, self.num_forget_samples, self.args.seed, self.references)
        return torch.cat([near, *self._held.beside(pixel_values, labels, index, self.pass_number)])

    def _amounts(self, index: torch.Tensor) -> float | torch.Tensor:
        """By how much the own logits of some samples are lowered, in nats."""
        if self.memory is not None:
            push = next((rule.push for rule in self._stop_rules if isinstance(rule, Steering)), 1.0)
            return push * self.memory.amounts[index.cpu()].to(index.device)
        return math.inf if self.args.label_shift is None else self.args.label_shift
