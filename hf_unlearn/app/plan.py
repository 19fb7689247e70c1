"""What there is to say of a run before it begins: samples, premise, cost, and what will be checked."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.terminal import seconds_as_text

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
    seconds = _seconds(trainer, sample)
    lines = [
        ("To forget", f"{len(run.forget):,} samples: {splits.request.describe()}"),
        ("Beside them", _others(splits)),
    ]
    lines += [("What is known", line) for line in _known(trainer, sample)]
    steps = f"at most {trainer.num_steps():,} steps of {min(trainer.step_size, len(run.forget)):,} samples"
    lines += [
        ("Settings", line) for line in (*trainer.settled, *trainer.mended, f"{trainer.title} on {trainer.data_used}")
    ]
    lines.append(("Cost", f"{steps}: about {seconds_as_text(seconds)} on this machine, and the checks beside it"))
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


def _seconds(trainer: Any, sample: Any) -> float:
    """How long the steps are thought to take: by the clock of a forward pass."""
    from hf_unlearn.trainers.safety.samples import sample_accuracy

    times = []
    for _ in range(TIMED):
        started = time.perf_counter()
        sample_accuracy(trainer.original_model, sample)
        times.append(time.perf_counter() - started)
    a_sample = statistics.median(times) / len(sample.labels)
    seen = trainer.num_steps() * min(trainer.step_size, trainer.num_forget_samples)
    return float(a_sample * seen * trainer.forward_equivalents_per_sample)


def _checks(trainer: Any, splits: Any, level: str, num_references: int) -> list[str]:
    lines = []
    if trainer.second_order:
        lines.append("before: that the model can be differentiated twice, on two samples")
    lines.append("during: that nothing runs away or leads the wrong way; then the original weights come back")
    lines.append("after: that the answers near the samples are still the original's, or it counts as damage")
    rest = "" if splits.test is None else ", and on the test set"
    beside = f" and {num_references} retrained" if num_references else ""
    lines.append(f"then, at the level {level!r}: what is recognised{rest}, beside the original{beside}")
    return lines
