"""When to stop: callbacks that read the figures of the step just made, and say why they stopped.

The figures come from the batches that are processed anyway: see [`StepFigures`].
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState

from hf_unlearn.errors import UnlearningError

if TYPE_CHECKING:
    from hf_unlearn.trainers.base.config import UnlearningConfig

# Figures of one optimizer step, over all processes and accumulated batches: sums over its samples of each quantity,
# and the number of samples under "samples".
StepFigures = dict[str, float]


def step_figures(state: TrainerState) -> StepFigures | None:
    """The figures that an `UnlearningTrainer` attached to `state` in the step just made."""
    return getattr(state, "unlearning_step", None)


def attach_figures(state: TrainerState, figures: StepFigures) -> None:
    """Let callbacks see the figures of a step. They are not saved with the state."""
    state.unlearning_step = figures  # type: ignore[attr-defined]


class BeforeStep(TrainerCallback):
    """Calls a function before each step of the optimizer, when all of its gradients are there."""

    def __init__(self, function: Callable[[], None]):
        self.function = function

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.function()


class StopRule(TrainerCallback, ExportableState):
    """A callback that may end the run. Its state is saved with checkpoints, so a resumed run stops at the same step.

    Attributes:
        reason: once the rule has stopped the run, why, in words; until then None.
        fatal: whether the run has failed when this rule stops it.
    """

    reason: str | None = None
    fatal = False

    def check(self, figures: StepFigures) -> str | None:
        """Take note of one step; return the reason to stop now, or None."""
        raise NotImplementedError

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        figures = step_figures(state)
        # A step on retained samples alone says nothing of what is forgotten.
        if figures is None or not figures["samples"] or self.reason is not None:
            return
        self.reason = self.check(figures)
        if self.reason is not None:
            control.should_training_stop = True

    def reset(self) -> None:
        """Forget all steps, as before a new run."""
        fresh = type(self)(**self._arguments())
        for name, value in fresh._memory().items():
            setattr(self, name, value)
        self.reason = None

    def state(self) -> dict[str, Any]:
        # What the constructor took bears the names of its parameters; the rest was gathered since.
        return {"args": self._arguments(), "attributes": {**self._memory(), "reason": self.reason}}

    def _arguments(self) -> dict[str, Any]:
        raise NotImplementedError

    def _memory(self) -> dict[str, Any]:
        raise NotImplementedError


class Latest:
    """A mean over the latest `window` samples, from sums over steps; `entries` is the list that it keeps them in."""

    def __init__(self, window: int, entries: list[list[float]]):
        self.window = window
        self.entries = entries

    def add(self, total: float, samples: float) -> float | None:
        """Take in a step's sum; the mean over the latest `window` samples, or None while there are fewer."""
        self.entries.append([total, samples])
        while sum(count for _, count in self.entries[1:]) >= self.window:
            self.entries.pop(0)
        seen = sum(count for _, count in self.entries)
        return sum(total for total, _ in self.entries) / seen if seen >= self.window else None


class ForgetAccuracyStop(StopRule):
    """Stop once the forget set is no longer recognised.

    The forget accuracy is that of the latest `window` samples, each measured just before the step that used it.

    Args:
        target: percent.
        window: samples.
    """

    def __init__(self, target: float, window: int = 256):
        self.target = target
        self.window = window
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        mean = Latest(self.window, self.latest).add(figures["correct"], figures["samples"])
        if mean is None or 100 * mean > self.target:
            return None
        return f"forget accuracy {100 * mean:.1f} % over the latest {self.window} samples, target {self.target:g} %"

    def _arguments(self) -> dict[str, Any]:
        return {"target": self.target, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"latest": self.latest}


class RoundStop(StopRule):
    """Stop at the end of a round, once the forget set is no longer recognised.

    In a round the steps shrink to nothing, so its end is a place to stay; if the forget set is still recognised then,
    the next round goes on from there with long steps again.

    Args:
        target: forget accuracy in percent, over the latest `window` samples.
        ends: how many steps were made at the end of each round.
        window: samples.
    """

    def __init__(self, target: float, ends: list[int], window: int = 256):
        self.target = target
        self.ends = ends
        self.window = window
        self.steps = 0
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        mean = Latest(self.window, self.latest).add(figures["correct"], figures["samples"])
        self.steps += 1
        if mean is None or self.steps not in self.ends or 100 * mean > self.target:
            return None
        return f"forget accuracy {100 * mean:.1f} % at the end of round {self.ends.index(self.steps) + 1}"

    def _arguments(self) -> dict[str, Any]:
        return {"target": self.target, "ends": self.ends, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"steps": self.steps, "latest": self.latest}


class UnseenStop(StopRule):
    """Stop once the forget samples look like samples that the model never saw.

    Args:
        level: the original's mean confidence in the labels of unseen samples, between 0 and 1.
        window: forget samples that the same is averaged over.
    """

    def __init__(self, level: float, window: int = 256):
        self.level = level
        self.window = window
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        mean = Latest(self.window, self.latest).add(figures["confidence"], figures["samples"])
        if mean is None or mean > self.level:
            return None
        return f"confidence in the labels {100 * mean:.1f} %, that in labels of unseen samples {100 * self.level:.1f} %"

    def _arguments(self) -> dict[str, Any]:
        return {"level": self.level, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"latest": self.latest}


class LossDropStop(StopRule):
    """The rule of the paper's v1: stop once the mean loss has fallen by `drop` from its value at the first step.

    Args:
        drop: δ, in units of the loss, above 0.
        window: samples that the loss is averaged over.
    """

    def __init__(self, drop: float, window: int = 256):
        self.drop = drop
        self.window = window
        self.first: float | None = None
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        if self.first is None:
            self.first = figures["loss"] / figures["samples"]
        mean = Latest(self.window, self.latest).add(figures["loss"], figures["samples"])
        if mean is None or self.first - mean < self.drop:
            return None
        return f"the loss fell from {self.first:.4g} to {mean:.4g}, by at least {self.drop:g}"

    def _arguments(self) -> dict[str, Any]:
        return {"drop": self.drop, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"first": self.first, "latest": self.latest}


class IrrelevantRecoveryStop(StopRule):
    """The rule of the paper's v4: the irrelevant sensitivity dips, then recovers; stop on its way back up.

    r_t is its root mean square relative to the first step's. Stop when r_t is above `level` *and* above its minimum so
    far. Where it never dips below `level` the rule does not fire.

    Args:
        level: δ, a ratio.
        window: samples that the sensitivity is averaged over.
    """

    def __init__(self, level: float = 1.0, window: int = 256):
        self.level = level
        self.window = window
        self.first: float | None = None
        self.lowest: float | None = None
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        if "irrelevant_sensitivity" not in figures:
            return None
        if self.first is None:
            self.first = figures["irrelevant_sensitivity"] / figures["samples"]
        mean = Latest(self.window, self.latest).add(figures["irrelevant_sensitivity"], figures["samples"])
        if mean is None or not self.first:
            return None
        ratio = (mean / self.first) ** 0.5
        lowest = self.lowest
        self.lowest = ratio if lowest is None else min(lowest, ratio)
        if lowest is None or lowest >= self.level or ratio <= max(lowest, self.level):
            return None
        return f"the irrelevant sensitivity recovered from {lowest:.2f} to {ratio:.2f} of its start"

    def _arguments(self) -> dict[str, Any]:
        return {"level": self.level, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"first": self.first, "lowest": self.lowest, "latest": self.latest}


# Steps without a new low that make a plateau.
PATIENCE = 10


class PlateauStop(StopRule):
    """Stop once the mean confidence in the forget samples' own classes has stopped falling.

    Args:
        patience: steps without a new low.
        margin: how much lower a new low must be, a share of the lowest so far.
        window: samples that the confidence is averaged over.
    """

    def __init__(self, patience: int = PATIENCE, margin: float = 0.02, window: int = 256):
        self.patience = patience
        self.margin = margin
        self.window = window
        self.lowest: float | None = None
        self.waited = 0
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        mean = Latest(self.window, self.latest).add(figures["confidence"], figures["samples"])
        if mean is None:
            return None
        if self.lowest is None or mean < self.lowest * (1 - self.margin):
            self.lowest, self.waited = mean, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        return f"the confidence in the forgotten classes stopped falling, at {100 * self.lowest:.1f} %"

    def _arguments(self) -> dict[str, Any]:
        return {"patience": self.patience, "margin": self.margin, "window": self.window}

    def _memory(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "waited": self.waited, "latest": self.latest}


def had_stopped(checkpoint: str) -> bool:
    """Whether a rule had ended the run when this checkpoint was saved."""
    saved = TrainerState.load_from_json(os.path.join(checkpoint, TRAINER_STATE_NAME)).stateful_callbacks
    states = [state for kept in saved.values() for state in (kept if isinstance(kept, list) else [kept])]
    return any(state.get("attributes", {}).get("reason") for state in states)


def make_stop_rule(args: UnlearningConfig, num_samples: int, unseen_level: float | None = None) -> StopRule | None:
    """The rule that `args.stop_rule` names, or None for "steps".

    Args:
        num_samples: size of the forget set; a rule's window is no larger.
        unseen_level: the original's mean confidence on unseen samples, for "unseen".

    Raises:
        UnlearningError: no such rule.
    """
    window = max(1, min(args.stop_window, num_samples))
    rules = {
        "steps": lambda: None,
        "round": lambda: RoundStop(args.target_forget_accuracy, args.round_ends(args.max_steps), window),
        "forget_accuracy": lambda: ForgetAccuracyStop(args.target_forget_accuracy, window),
        "loss_drop": lambda: LossDropStop(args.stop_delta, window),
        "irrelevant_recovery": lambda: IrrelevantRecoveryStop(args.stop_delta, window),
        "plateau": lambda: PlateauStop(window=window),
        "unseen": lambda: UnseenStop(unseen_level or 0.0, window),
    }
    if args.stop_rule not in rules:
        raise UnlearningError(f"stop_rule {args.stop_rule!r} is not one of {', '.join(rules)}")
    return rules[args.stop_rule]()
