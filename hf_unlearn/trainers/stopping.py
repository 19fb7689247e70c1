"""When to stop: callbacks that read the figures of the step just made, and say why they stopped.

The figures come from the batches that are processed anyway: see [`StepFigures`].
"""

from __future__ import annotations

from collections import deque
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

# Figures of one optimizer step, over all processes and accumulated batches: sums over its samples of each quantity,
# and the number of samples under "samples".
StepFigures = dict[str, float]


def step_figures(state: TrainerState) -> StepFigures | None:
    """The figures that an `UnlearningTrainer` attached to `state` in the step just made."""
    return getattr(state, "unlearning_step", None)


def attach_figures(state: TrainerState, figures: StepFigures) -> None:
    """Let callbacks see the figures of a step. They are not saved with the state."""
    state.unlearning_step = figures  # type: ignore[attr-defined]


class StopRule(TrainerCallback, ExportableState):
    """A callback that may end the run. Its state is saved with checkpoints, so a resumed run stops at the same step.

    Attributes:
        reason: once the rule has stopped the run, why, in words; until then None.
    """

    reason: str | None = None

    def check(self, figures: StepFigures) -> str | None:
        """Take note of one step; return the reason to stop now, or None."""
        raise NotImplementedError

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        figures = step_figures(state)
        if figures is None or self.reason is not None:
            return
        self.reason = self.check(figures)
        if self.reason is not None:
            control.should_training_stop = True


class ForgetAccuracyStop(StopRule):
    """Stop once the forget set is no longer recognised.

    The forget accuracy is that of the latest `window` samples, each measured just before the step that used it.

    Args:
        target: percent.
        window: samples.
    """

    def __init__(self, target: float = 2.0, window: int = 256):
        self.target = target
        self.window = window
        self.latest: list[list[float]] = []

    def check(self, figures: StepFigures) -> str | None:
        self.latest.append([figures["correct"], figures["samples"]])
        kept: deque[list[float]] = deque(self.latest)
        while sum(samples for _, samples in kept) - kept[0][1] >= self.window:
            kept.popleft()
        self.latest = list(kept)
        samples = sum(samples for _, samples in kept)
        if samples < self.window:
            return None
        accuracy = 100 * sum(correct for correct, _ in kept) / samples
        if accuracy > self.target:
            return None
        return f"forget accuracy {accuracy:.1f} % over the latest {samples:.0f} samples, target {self.target:g} %"

    def state(self) -> dict[str, Any]:
        return {
            "args": {"target": self.target, "window": self.window},
            "attributes": {"latest": self.latest, "reason": self.reason},
        }
