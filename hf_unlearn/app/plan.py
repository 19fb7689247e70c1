"""What there is to say of a run before it begins: samples, premise, cost, and what will be checked."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.terminal import seconds_as_text
from hf_unlearn.evaluation.limits import MOST_RETAINED_SAMPLES

if TYPE_CHECKING:
    from hf_unlearn.commands.unlearn import Run

# Forget samples that are looked at before the run.
LOOKED_AT = 64
# Forward passes of them whose time is taken.
TIMED = 5


@dataclass(frozen=True)
class Plan:
    """Lines for a reader, by what they are of."""

    lines: list[tuple[str, str]]


def plan_of(run: Run, level: str, num_references: int) -> Plan:
    """Look at some forget samples, and say what the run comes to. The trainer is left as it was."""
    trainer, splits = run.trainer, run.splits
    sample = trainer.forget_sample(LOOKED_AT)
    a_sample = _seconds_of_a_sample(trainer, sample)
    judging = judging_seconds(a_sample, splits, level, 2 + num_references)
    lines = [
        ("To forget", f"{len(run.forget):,} samples: {splits.request.describe()}"),
        ("Beside them", _others(splits)),
    ]
    lines += [("What is known", line) for line in _known(trainer, sample)]
    steps = f"at most {trainer.num_steps():,} steps of {min(trainer.step_size, len(run.forget)):,} samples"
    lines += [
        ("Settings", line) for line in (*trainer.settled, *trainer.mended, f"{trainer.title} on {trainer.data_used}")
    ]
    seconds = _seconds_of_steps(trainer, a_sample)
    lines.append(("Cost", f"{steps}: about {seconds_as_text(seconds)} on this machine, and the checks beside it"))
    lines.append(("Cost", f"judging at the level {level!r}: at most about {seconds_as_text(judging)}, and the report"))
    lines += [("Will be checked", line) for line in _checks(trainer, splits, level, num_references)]
    return Plan(lines)


def _others(splits: Any) -> str:
    stays = "no others are known" if splits.retain is None else f"{len(splits.retain):,} training samples stay"
    tested = "there is no test set" if splits.test is None else f"{len(splits.test):,} for testing"
    return f"{stays}, {tested}"


def _known(trainer: Any, sample: Any) -> list[str]:
    """What the original's answers on some of the samples say before any step."""
    from hf_unlearn.trainers.safety.mismatch import find_mismatch
    from hf_unlearn.trainers.safety.premise import measure_premise
    from hf_unlearn.trainers.safety.samples import sample_accuracy

    right = 100 * sample_accuracy(trainer.original_model, sample)
    known = f"the model gives {right:.1f} % of {len(sample.labels)} samples to forget their label"
    lines = [find_mismatch(trainer.original_model, sample) or known]
    if trainer.second_order:
        premise = measure_premise(
            trainer.original_model, sample, trainer.args.seed, fast=trainer.args.fast_double_backward
        )
        lines.append(str(premise))
    if trainer.forget_kind != "class":
        lines.append("their labels stay in use: how much of each sample is memory is measured before the first step")
    return lines


def _seconds_of_a_sample(trainer: Any, sample: Any) -> float:
    """How long a forward pass takes, by the clock."""
    from hf_unlearn.trainers.safety.samples import sample_accuracy

    times = []
    for _ in range(TIMED):
        started = time.perf_counter()
        sample_accuracy(trainer.original_model, sample)
        times.append(time.perf_counter() - started)
    return statistics.median(times) / len(sample.labels)


def _seconds_of_steps(trainer: Any, a_sample: float) -> float:
    seen = trainer.num_steps() * min(trainer.step_size, trainer.num_forget_samples)
    return float(a_sample * seen * trainer.forward_equivalents_per_sample)


def judging_seconds(a_sample: float, splits: Any, level: str, models: int) -> float:
    """How long the judging is thought to take at most, where every fine-tuning takes all of its steps.

    Args:
        a_sample: seconds that a sample takes forward.
        models: how many are judged.
    """
    from hf_unlearn.evaluation.attacks import probing, relearning
    from hf_unlearn.evaluation.attacks.residual import IRRELEVANT_CLASSES
    from hf_unlearn.evaluation.depth import panel
    from hf_unlearn.evaluation.depth.weights import POINTS

    forget, retain, test = (0 if part is None else len(part) for part in (splits.forget, splits.retain, splits.test))
    seen = models * (forget + min(retain, MOST_RETAINED_SAMPLES) + test)
    scored = min(forget, relearning.SCORED_SAMPLES)
    # Backward takes twice as long as forward.
    a_step = 3 * relearning.BATCH_SIZE + scored
    if level != "fast":
        answers = 1 + 2 * IRRELEVANT_CLASSES
        seen += forget + models * min(forget, probing.SENSITIVITY_SAMPLES) * answers
        seen += (models - 1) * relearning.MOST_STEPS * a_step
    if level == "deep":
        seen += models * (panel.FORGET_SAMPLES + panel.RETAIN_SAMPLES + POINTS * panel.LINE_SAMPLES)
        if splits.removes_whole_classes:
            seen += models * (2 * relearning.MOST_STEPS + relearning.RETAINED_STEPS) * a_step
    return a_sample * seen


def _checks(trainer: Any, splits: Any, level: str, num_references: int) -> list[str]:
    lines = []
    if trainer.second_order:
        lines.append("before: that the model can be differentiated twice, on two samples")
    lines.append("during: that nothing runs away or leads the wrong way; then the original weights come back")
    lines.append("after: that the answers near the samples are still the original's, or it counts as damage")
    rest = "" if splits.test is None else ", and on the test set"
    inside = ""
    if level == "deep":
        alone = ", and what is still found inside: without retrained models nobody can say how deep that is"
        inside = ", and how deep it goes" if num_references else alone
    beside = f" and {num_references} retrained" if num_references else ""
    lines.append(f"then, at the level {level!r}: what is recognised{rest}, beside the original{beside}{inside}")
    return lines
