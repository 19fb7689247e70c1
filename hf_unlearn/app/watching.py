"""A run as it goes: how far it is, how sure the model still is of what it is to forget, and whether to go on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_unlearn.app.work import Work
from hf_unlearn.trainers.safety.outcome import surroundings_agreement
from hf_unlearn.trainers.safety.stopping import step_figures

# Of the run, how often the rest of the model is looked at, and on how many samples.
LOOKS, LOOKED_AT = 10, 64


@dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Attributes:
        stage: what is being done, in words.
        step, steps: made, and at most to be made; 0 of 0 outside the steps.
        confidence, accuracy: in the labels of the samples to forget, in the latest step, percent.
        agreement: with the original near the samples, percent, as it was looked at last.
        seconds_left: at most; None: not known yet.
    """

    stage: str
    step: int = 0
    steps: int = 0
    confidence: float | None = None
    accuracy: float | None = None
    agreement: float | None = None
    seconds_left: float | None = None


class Watcher(TrainerCallback):
    """Tells a [`Work`] of each step of a trainer, and ends the run if the work is cancelled.

    It looks at the model and draws nothing from the global random state: the run is the one that it would be without.
    """

    def __init__(self, work: Work, trainer: Any):
        self._work, self._trainer = work, trainer
        self._agreement: float | None = None
        self._started = 0.0

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._started = time.monotonic()
        self._work.check()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        figures, steps = step_figures(state), int(state.max_steps)
        if state.global_step % max(1, steps // LOOKS) == 0:
            self._look()
        samples = (figures or {}).get("samples")
        each = (time.monotonic() - self._started) / max(1, state.global_step)
        self._work.say(
            Progress(
                "Forgetting",
                state.global_step,
                steps,
                100 * figures["confidence"] / samples if figures and samples else None,
                100 * figures["correct"] / samples if figures and samples else None,
                self._agreement,
                each * (steps - state.global_step),
            )
        )

    def _look(self) -> None:
        trainer = self._trainer
        trainer.model.eval()
        self._agreement = 100 * surroundings_agreement(
            trainer.original_model,
            trainer.model,
            trainer.forget_sample(LOOKED_AT),
            trainer.num_forget_samples,
            trainer.args.seed,
            trainer.classes_that_go(),
        )
