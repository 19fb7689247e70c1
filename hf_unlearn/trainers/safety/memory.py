"""How much of the forget samples a model remembers, sample by sample: read off itself and the samples alone.

Training raises a sample's own logit in a small place around it, and nowhere else: that is the premise of MU-Mis (arXiv
2402.15109) at a distance at which it can be seen in the answers. So a model that never saw a sample says of it about
what the original says of copies a little way off. But a copy also is a little harder, for any model. What of the fall
is memory is told by the same fall around copies further off, where memory has ended: of two such copies the one with
the better answer stands for a sample that the model knows as well and does not remember.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.objectives import JITTERS, draw_copies
from hf_unlearn.objectives.draws import PassDraws
from hf_unlearn.trainers.safety.samples import CHECKED_SAMPLES, Sample, bisected, calibrated_shift, own_logits

# The odds of the label have fallen to a tenth: so far off are the copies that stand for an unseen sample.
FALL = math.log(10)
STRENGTHS = tuple(0.0025 * 2 ** (step / 2) for step in range(16))
# As shares of that distance: over how far the fall is looked at that tells memory from damage, and how far off the
# copies are around which memory has ended.
NEARER, FURTHER = 0.7, 1.25
# Nats; what rounding makes of it.
LEAST_CHANGE = 1e-5
# Copies of a sample: to find the strength with, and to read its own amount off.
SCANNED_COPIES, COPIES = 4, 16
# A share of the fall below the first is noise, and there is nothing to forget; from the second on the copies are taken
# at their word; between them in proportion.
LEAST_SHARE, FULL_SHARE = 0.05, 0.2
# A model that gets some of what it was trained on wrong did not learn it by heart. What else it is surer of cannot be
# told from how hard the copies are: at the first accuracy nothing is taken for memory, from the second on all of it.
LEAST_ACCURACY, BY_HEART = 0.97, 0.995
# Nor where copies must go further off than memory was seen to reach: within the first strength all of the fall may be
# memory, beyond the second none of it. Of the other kinds of copies it is not known.
REACH = {"affine": (0.05, 0.07)}


@dataclass(frozen=True)
class Memory:
    """What is known of the forget samples' memory.

    Attributes:
        jitter: kind of copies.
        strength: how far off they are (see `hf_unlearn.objectives.JITTERS`).
        fall: by how many nats the log-odds of their labels are lower in the mean.
        share: of the fall of the log-odds at that strength, how much is memory's, 0 to 1.
        accuracy: share of the forget samples that the original gets right, 0 to 1.
        expected: that of a model that never saw them, as far as can be told.
        amounts: by how many nats each sample's own logit is to be lowered, 0 or more: `(num_samples,)`.
    """

    jitter: str
    strength: float
    fall: float
    share: float
    accuracy: float
    expected: float
    amounts: torch.Tensor

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to forget that could be measured."""
        return not bool(self.amounts.any())

    def __str__(self) -> str:
        rests = (
            f"copies {100 * self.strength:.1f} % off have log-odds of their labels {self.fall:.1f} nats lower, and "
            f"{100 * self.share:.0f} % of that fall is memory's"
        )
        if self.nothing:
            known = f"the original gets {100 * self.accuracy:.1f} % of the samples right, "
            return f"there is little to forget that can be told from damage: {known}{rests}"
        return (
            f"forget accuracy {100 * self.accuracy:.1f} %, of a model that never saw the samples about "
            f"{100 * self.expected:.1f} %: {rests}"
        )


class HeldBeside:
    """Inputs beside the forget samples, drawn anew in each pass, on which the original's answers stay.

    Of each sample a copy as far off as memory reaches: around the sample the answers are right as they are. And, where
    there are reference samples, one of them.

    Args:
        memory: of the forget samples, `num_samples` of them.
        seed: of the draws, which are tied to sample and pass.
    """

    def __init__(self, memory: Memory, num_samples: int, seed: int, references: Sample | None):
        self.memory, self.references = memory, references
        self._copies = PassDraws(partial(draw_copies, num_samples), seed, 4)
        among = 1 if references is None else len(references.labels)
        self._rows = PassDraws(lambda drawn: torch.randint(among, (num_samples,), generator=drawn), seed, 5)

    def beside(self, pixel_values: torch.Tensor, index: torch.Tensor, pass_number: int) -> list[torch.Tensor]:
        """One or two batches shaped as `pixel_values`, of the samples at `index` in the forget set."""
        drawn = self._copies.of(index, pass_number)
        held = [JITTERS[self.memory.jitter](pixel_values, self.memory.strength, drawn)]
        if self.references is not None:
            pixels = self.references.pixel_values
            held.append(pixels[self._rows.of(index, pass_number).to(pixels.device)].to(pixel_values))
        return held


def measure_memory(
    model: PreTrainedModel,
    items: Any,
    size: int,
    jitter: str,
    seed: int,
    unseen_odds: torch.Tensor | None = None,
    taught: torch.Tensor | None = None,
) -> Memory:
    """How much of the forget samples `model` remembers.

    Costs about 16 forward passes a forget sample, and some 30 passes of 256 of them.

    Args:
        model: the original, in eval mode.
        items: the forget set, of `size` items.
        jitter: which of `hf_unlearn.objectives.JITTERS` the copies are.
        seed: of the copies.
        unseen_odds: log-odds of the labels of reference samples under the original, `(m,)`: then the amounts are such
            that the forget samples' labels get as much confidence as theirs.
        taught: of a sub-class, the log-odds of each forget sample's label that its siblings teach, `(size,)`: then the
            amounts are what is above that.

    Raises:
        UnlearningError: copies of this kind change no answer, or every answer however near they are.
    """
    draws = torch.Generator().manual_seed(seed)
    scanned = Sample.of(items, size, model)
    strength, fall = _strength(model, scanned, jitter, draws)
    share = _share_of_memory(model, scanned, jitter, strength, draws)
    weight = _between(share, LEAST_SHARE, FULL_SHARE)
    if jitter in REACH:
        weight *= 1 - _between(strength, *REACH[jitter])
    if unseen_odds is not None:
        weight = 1.0
    # Where siblings say the amounts, or there is nothing to read off them, no copies are made.
    copied = taught is None and weight > 0
    own, near, right = [], [], []
    for start in range(0, size, CHECKED_SAMPLES):
        sample = Sample.at(items, range(start, min(start + CHECKED_SAMPLES, size)), model)
        own.append(own_logits(model, sample))
        if copied:
            copies = torch.stack([_copy(model, sample, jitter, strength, draws)[1] for _ in range(COPIES)])
            near.append(copies.mean(0))
            right.append((copies > 0).float().mean(0))
    said = torch.cat(own)
    accuracy = float((said > 0).float().mean())
    if unseen_odds is None:
        weight *= _between(accuracy, LEAST_ACCURACY, BY_HEART)
    if taught is not None:
        amounts = (said - taught.to(said)).clamp(min=0.0)
    elif unseen_odds is not None:
        amounts = amounts_like(said, said - torch.cat(near), unseen_odds)
    elif weight > 0:
        expected = accuracy - weight * max(0.0, accuracy - float(torch.cat(right).mean()))
        amounts = amounts_for(said, weight * (said - torch.cat(near)), expected)
        return Memory(jitter, strength, fall, share, accuracy, expected, amounts.cpu())
    else:
        amounts = torch.zeros_like(said)
    expected = float((said > amounts).float().mean())
    return Memory(jitter, strength, fall, share, accuracy, expected, amounts.cpu())


def amounts_for(said: torch.Tensor, fallen: torch.Tensor, expected: float) -> torch.Tensor:
    """By how much to lower each sample's log-odds so that a share `expected` of the labels stays the likeliest.

    That is what the sample's own copies say, `fallen`, and one number more for all of them, which mends that the mean
    over copies is surer than one of them is.

    Args:
        said: log-odds of the labels under the original, `(n,)`, nats.
        fallen: by how much lower those of copies are, `(n,)`.
        expected: share between 0 and 1.

    Returns:
        `(n,)`, 0 or more.
    """
    left = (said - fallen).sort().values
    wrong = round((1 - expected) * len(left))
    further = float(left[wrong - 1]) if wrong else -math.inf
    # Halfway to the next one, so that none lies on the border.
    further = further if wrong in (0, len(left)) else (further + float(left[wrong])) / 2
    return (fallen + max(further, 0.0)).clamp(min=0.0)


def amounts_like(said: torch.Tensor, fallen: torch.Tensor, unseen_odds: torch.Tensor) -> torch.Tensor:
    """By how much to lower each sample's log-odds so that their mean confidence is that of unseen samples.

    Args:
        said, fallen: see [`amounts_for`].
        unseen_odds: log-odds of the labels of samples that were not learned, `(m,)`, nats.

    Returns:
        `(n,)`, 0 or more: what the copies say, and one number more; or where that is too much already, a part of it.
    """
    amounts = fallen.clamp(min=0.0)
    further = calibrated_shift(said - amounts, unseen_odds)
    if further > 0:
        return amounts + further
    level = unseen_odds.sigmoid().mean()
    return bisected(lambda part: bool((said - part * amounts).sigmoid().mean() > level), 1.0) * amounts


def _strength(model: nn.Module, sample: Sample, jitter: str, draws: torch.Generator) -> tuple[float, float]:
    """How far off copies are whose log-odds are lower by `FALL` in the mean, and that; the furthest if none are."""
    own = own_logits(model, sample)
    last = (0.0, 0.0)
    for strength in STRENGTHS:
        copies = torch.stack([_copy(model, sample, jitter, strength, draws)[1] for _ in range(SCANNED_COPIES)])
        fall = float((own - copies).mean())
        if fall >= FALL and not last[0]:
            raise UnlearningError(
                f"jitter {jitter!r} changes every answer: copies {100 * strength:.2f} % off have log-odds of their "
                f"labels {fall:.1f} nats lower; expected less than {FALL:.1f}: set another jitter, or label_shift"
            )
        if fall >= FALL:
            return last[0] + (strength - last[0]) * (FALL - last[1]) / (fall - last[1]), FALL
        last = strength, fall
    if float((own - copies).abs().max()) < LEAST_CHANGE:
        raise UnlearningError(
            f"jitter {jitter!r} changes no answer: copies {100 * strength:.0f} % off have the same log-odds of their "
            "labels; expected some that differ: set another jitter, or label_shift"
        )
    return last


def _share_of_memory(model: nn.Module, sample: Sample, jitter: str, strength: float, draws: torch.Generator) -> float:
    """1 − the fall around copies where memory has ended, over that around the samples; 0 where it is no less."""
    near = NEARER * strength
    here = _fall(model, sample, own_logits(model, sample), jitter, near, draws)
    falls = []
    for _ in range(2):
        (one, one_said), (other, other_said) = (
            _copy(model, sample, jitter, FURTHER * strength, draws) for _ in range(2)
        )
        pixels = torch.where((one_said > other_said).view(-1, 1, 1, 1), one, other)
        moved = Sample(pixels, sample.labels, sample.index)
        falls.append(_fall(model, moved, torch.maximum(one_said, other_said), jitter, near, draws))
    return max(0.0, 1 - sum(falls) / len(falls) / here) if here > 0 else 0.0


def _between(value: float, low: float, high: float) -> float:
    """How far `value` is from `low` to `high`, 0 to 1."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _fall(
    model: nn.Module, sample: Sample, own: torch.Tensor, jitter: str, strength: float, draws: torch.Generator
) -> float:
    copies = [_copy(model, sample, jitter, strength, draws)[1] for _ in range(2 * SCANNED_COPIES)]
    return float((own - torch.stack(copies).mean(0)).mean())


def _copy(
    model: nn.Module, sample: Sample, jitter: str, strength: float, draws: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One copy of each sample, and the log-odds of its label."""
    pixels = JITTERS[jitter](sample.pixel_values, strength, draw_copies(len(sample.labels), draws))
    return pixels, own_logits(model, Sample(pixels, sample.labels, sample.index))
