"""The steps of a run: where its rounds end, one list for the stop rule and for the length of the steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel, SchedulerType, Trainer

from hf_unlearn.errors import UnlearningError
from hf_unlearn.objectives import RelativeAdam, RelativeSGD

if TYPE_CHECKING:
    from hf_unlearn.trainers.base.config import UnlearningConfig

    _Base = Trainer
else:
    _Base = object

STEP_RULES = {"relative": RelativeSGD, "relative_adam": RelativeAdam}
CONSTANT = ("constant", "constant_with_warmup")


def round_ends(num_steps: int, num_rounds: int, warmup_steps: int = 0) -> list[int]:
    """How many steps were made at the end of each round.

    The rounds share the steps after the warm-up as evenly as whole steps allow; the first has the warm-up, too.

    Args:
        num_steps: of the run.
        num_rounds: how many are wanted; there are no more than steps after the warm-up.
        warmup_steps: in these the step length grows.

    Returns:
        Increasing; the last is `num_steps`.

    Raises:
        UnlearningError: the warm-up leaves no step.
    """
    rest = num_steps - warmup_steps
    if rest < 1:
        raise UnlearningError(
            f"warmup_steps takes {warmup_steps} steps, but the run has {num_steps}; expected fewer than that"
        )
    num_rounds = min(num_rounds, rest)
    return [warmup_steps + math.ceil(rest * number / num_rounds) for number in range(1, num_rounds + 1)]


def length_of_step(step: int, ends: list[int], warmup_steps: int = 0) -> float:
    """The length of step number `step`, from 0, as a share of the longest: after the warm-up a cosine in each round.

    As transformers' schedule with restarts, which leaves to rounding errors in which round the first step of one is.

    Args:
        ends: from [`round_ends`].
    """
    if step < warmup_steps:
        return step / warmup_steps
    if step >= ends[-1]:
        return 0.0
    finished = bisect_right(ends, step)
    share = len(ends) * ((step - warmup_steps) / (ends[-1] - warmup_steps)) - finished
    return 0.5 * (1.0 + math.cos(math.pi * share))


class StepsInRounds(_Base):
    """Mixed into a `Trainer`: its relative steps, and their length in the config's rounds.

    `cosine_with_restarts` is that of [`length_of_step`].
    """

    args: UnlearningConfig
    model: PreTrainedModel

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.args.step_rule in STEP_RULES:
            # By identity: below an adapter the same modules have longer names.
            body = getattr(self.model, self.model.base_model_prefix, nn.Module())
            inner = {id(parameter) for parameter in body.parameters()}
            head: list[nn.Parameter] = []
            rest: list[nn.Parameter] = []
            for parameter in self.model.parameters():
                if parameter.requires_grad:
                    (rest if id(parameter) in inner else head).append(parameter)
            groups: list[dict[str, Any]] = [{"params": head, "scale": self.args.head_scale}, {"params": rest}]
            groups = [group for group in groups if group["params"]]
            self.optimizer = STEP_RULES[self.args.step_rule](groups, lr=self.args.learning_rate)
        return super().create_optimizer(model)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        if self.lr_scheduler is None and self.args.lr_scheduler_type == SchedulerType.COSINE_WITH_RESTARTS:
            length = partial(
                length_of_step,
                ends=self.args.round_ends(num_training_steps),
                warmup_steps=self.args.get_warmup_steps(num_training_steps),
            )
            moved = cast(torch.optim.Optimizer, self.optimizer if optimizer is None else optimizer)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(moved, length)
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)
