"""How much of the forget samples a model remembers, sample by sample: read off itself and the samples alone.

Training raises a sample's own logit in a small place around it, and nowhere else: that is the premise of MU-Mis (arXiv
2402.15109) at a distance at which it can be seen in the answers. So a model that never saw a sample says of it about
what the original says of copies a little way off. But a copy also is a little harder, for any model. How much harder is
told by copies of copies: those far off, where memory has ended, of which the model gets right what it learned and does
not remember, fall by the damage alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Subset
from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.objectives import JITTERS, draw_copies
from hf_unlearn.objectives.draws import PassDraws
from hf_unlearn.trainers.safety.reference import Unseen
from hf_unlearn.trainers.safety.samples import (
    CHECKED_SAMPLES,
    Sample,
    bisected,
    labels_of,
    own_logits,
    sample_logits,
    sureness,
)
from hf_unlearn.trainers.safety.siblings import SiblingsBeside

STRENGTHS = tuple(0.0025 * 2 ** (step / 2) for step in range(16))
# How far off copies of each kind are at which most of what is memory's has gone. It does not depend on who is
# forgotten: samples that were memorised more lose more there, not the same amount sooner.
PROBES = {"affine": 0.05, "noise": 0.3, "blur": 0.4, "colour": 0.25, "mask": 0.08}
# Nats, in the mean, by which copies next to the samples may fall.
MOST_AT_ONCE = math.log(10)
# So many times as far off are copies around which memory has ended.
FAR = 2.8
# Neither has all of memory gone at the first distance, nor at the second: by how much what is told from damage is
# raised. Measured against retrained models (docs/regimes.md).
RAISED = 1.8
# Nats, in the mean: less is noise, and there is nothing to forget.
LEAST_MEMORY = 0.15
# Nats; what rounding makes of no change.
LEAST_CHANGE = 1e-5
# Copies of a sample: to look at the falls with, to find far ones among, and to read its own amount off.
SCANNED_COPIES, FAR_COPIES, COPIES = 4, 6, 16
# Of the distance at which the model is as sure of copies as of reference samples: to 1 in 256.
MATCHING_STEPS = 8


@dataclass(frozen=True)
class Memory:
    """What is known of the forget samples' memory.

    Attributes:
        jitter: kind of copies.
        strength: how far off copies are that say of the samples what a model would that never saw them (see
            `hf_unlearn.objectives.JITTERS`).
        ended: how far off memory has ended.
        remembered: by how many nats the log-odds of their labels are raised by memory, in the mean, as copies say.
        accuracy: share of the forget samples that the original gets right, 0 to 1.
        expected: that of a model that never saw them, as far as can be told.
        amounts: by how many nats each sample's own logit is to be lowered, 0 or more: `(num_samples,)`.
        source: what says the amounts: their copies, reference samples, or what siblings teach of them.
    """

    jitter: str
    strength: float
    ended: float
    remembered: float
    accuracy: float
    expected: float
    amounts: torch.Tensor
    source: str = "copies"

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to forget that could be measured."""
        return not bool(self.amounts.any())

    def not_taught_again(self, model: PreTrainedModel, guide: PreTrainedModel, items: Any) -> Memory:
        """The same with amounts below a `guide` at which no sample's label is to become surer than `model` is of it.

        The guide knows samples that the model has forgotten before.

        Args:
            items: the forget set.
        """
        if guide is model or self.nothing:
            return self
        amounts = self.amounts.clone()
        for start in range(0, len(amounts), CHECKED_SAMPLES):
            rows = range(start, min(start + CHECKED_SAMPLES, len(amounts)))
            sample = Sample.at(items, rows, model)
            surer = (own_logits(guide, sample) - own_logits(model, sample)).cpu()
            amounts[rows.start : rows.stop] = torch.maximum(amounts[rows.start : rows.stop], surer.to(amounts))
        return replace(self, amounts=amounts)

    def __str__(self) -> str:
        rests = f"of the log-odds of their labels {self.remembered:.1f} nats are memory's"
        if self.source != "copies":
            rests = f"{self.source} take {float(self.amounts.mean()):.1f} nats from the log-odds of their labels"
        elif not self.nothing:
            rests += f", as much as is lost by copies {100 * self.strength:.1f} % off"
        if self.nothing:
            known = f"the original gets {100 * self.accuracy:.1f} % of the samples right, "
            return f"there is little to forget that can be told from damage: {known}{rests}"
        return (
            f"forget accuracy {100 * self.accuracy:.1f} %, of a model that never saw the samples about "
            f"{100 * self.expected:.1f} %: {rests}"
        )


class HeldBeside:
    """Inputs beside the forget samples, drawn anew in each pass, on which the original's answers stay.

    Of each sample a copy as far off as memory reaches, or further, up to where it has ended: there the answers are
    right as they are. And, where there are reference samples, one of them.

    Args:
        memory: of the forget samples, `num_samples` of them.
        seed: of the draws, which are tied to sample and pass.
    """

    def __init__(self, memory: Memory, num_samples: int, seed: int, references: Sample | None):
        self.memory, self.references = memory, references
        self._copies = PassDraws(partial(draw_copies, num_samples), seed, 4)
        among = 1 if references is None else len(references.labels)
        self._rows = PassDraws(lambda drawn: torch.randint(among, (num_samples,), generator=drawn), seed, 5)

    def beside(
        self, pixel_values: torch.Tensor, labels: torch.Tensor, index: torch.Tensor, pass_number: int
    ) -> list[torch.Tensor]:
        """One or two batches shaped as `pixel_values`, of the samples at `index` in the forget set."""
        drawn = self._copies.of(index, pass_number)
        near, far = self.memory.strength, self.memory.ended
        # In turn, so that a pass costs one copy.
        strength = (near, math.sqrt(near * far), far)[pass_number % 3]
        held = [JITTERS[self.memory.jitter](pixel_values, strength, drawn)]
        if self.references is not None:
            pixels = self.references.pixel_values
            held.append(pixels[self._rows.of(index, pass_number).to(pixels.device)].to(pixel_values))
        return held


Beside = HeldBeside | SiblingsBeside


def held_beside(memory: Memory, num_samples: int, seed: int, references: Sample | None) -> Beside:
    """What is held beside the forget samples: where their siblings say how much is memory, these; else copies.

    Arguments as for [`HeldBeside`].
    """
    if memory.source == "siblings" and references is not None:
        return SiblingsBeside(memory.jitter, memory.strength, num_samples, seed, references)
    return HeldBeside(memory, num_samples, seed, references)


def measure_memory(
    model: PreTrainedModel,
    items: Any,
    size: int,
    jitter: str,
    seed: int,
    unseen: Unseen | None = None,
    taught: torch.Tensor | None = None,
    gone: torch.Tensor | None = None,
) -> Memory:
    """How much of the forget samples `model` remembers.

    Costs no more forward passes than `cost_of` says.

    Args:
        model: the original, in eval mode.
        items: the forget set, of `size` items.
        jitter: which of `hf_unlearn.objectives.JITTERS` the copies are.
        seed: of the copies.
        unseen: what the original says of reference samples. Then copies are as far off as makes it as sure of its
            answers as it is there, and the amounts are such that as many of the forget samples are recognised as of
            them; where their labels are not known, as of such copies.
        taught: of a sub-class, the log-odds of each forget sample's label that its siblings teach, `(size,)`: then the
            amounts are what is above that.
        gone: ids of classes that went with earlier requests. Their samples have nothing to forget and count as wrong,
            and what the model says of them tells nothing of the others.

    Raises:
        UnlearningError: copies of this kind change no answer, or every answer however near they are, or some answers
            are not finite.
    """
    if gone is not None and len(gone):
        rows = torch.isin(labels_of(items, size).cpu(), gone.cpu(), invert=True).nonzero().squeeze(1)
        if not len(rows):
            return Memory(jitter, PROBES[jitter], FAR * PROBES[jitter], 0.0, 0.0, 0.0, torch.zeros(size))
        there = Subset(items, rows.tolist())
        taught = None if taught is None else taught[rows.to(taught.device)]
        found = measure_memory(model, there, len(rows), jitter, seed, unseen, taught)
        amounts = torch.zeros(size, dtype=found.amounts.dtype).index_put((rows,), found.amounts)
        share = len(rows) / size
        return replace(found, accuracy=share * found.accuracy, expected=share * found.expected, amounts=amounts)
    draws = torch.Generator().manual_seed(seed)
    sure = None if unseen is None else unseen.sureness
    strength, ended, remembered = _distances(model, Sample.of(items, size, model), jitter, draws, sure)
    # Where siblings say the amounts, or there is nothing to read off them, no copies are made.
    copied = taught is None and (unseen is not None or remembered > 0)
    own, near = [], []
    for start in range(0, size, CHECKED_SAMPLES):
        sample = Sample.at(items, range(start, min(start + CHECKED_SAMPLES, size)), model)
        own.append(own_logits(model, sample))
        if copied:
            copies = torch.stack([_copy(model, sample, jitter, strength, draws)[1] for _ in range(COPIES)])
            near.append(copies.T)
    said = torch.cat(own)
    accuracy = float((said > 0).float().mean())
    source, expected = "copies", None
    if taught is not None:
        source, amounts = "siblings", (said - taught.to(said)).clamp(min=0.0)
    elif unseen is not None:
        copies = torch.cat(near)
        known = float((copies > 0).float().mean()) if unseen.accuracy is None else unseen.accuracy
        source, amounts = "reference samples", amounts_like(said, said - copies.mean(1), known)
    elif copied:
        copies = torch.cat(near)
        expected = min(accuracy, float((copies > 0).float().mean()))
        amounts = amounts_for(said, said - copies.mean(1), expected)
    else:
        amounts = torch.zeros_like(said)
    if expected is None:
        expected = float((said > amounts).float().mean())
    return Memory(jitter, strength, ended, remembered, accuracy, expected, amounts.cpu(), source)


def cost_of(size: int, matched: bool = False) -> float:
    """The most forward passes of one sample that [`measure_memory`] takes for `size` of them.

    Args:
        matched: whether reference samples say how far off copies are.
    """
    scanned = 1 + SCANNED_COPIES * len(STRENGTHS)
    scanned += SCANNED_COPIES * MATCHING_STEPS if matched else FAR_COPIES * (1 + SCANNED_COPIES)
    return float((1 + COPIES) * size + scanned * min(size, CHECKED_SAMPLES))


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
    # Halfway to the next one, or a little beyond the last, so that none lies on the border.
    further = (further + (float(left[wrong]) if wrong < len(left) else further + 1.0)) / 2
    return (fallen + max(further, 0.0)).clamp(min=0.0)


def amounts_like(said: torch.Tensor, fallen: torch.Tensor, known: float) -> torch.Tensor:
    """By how much to lower each sample's log-odds so that as many labels stay the likeliest as of unseen samples.

    Args:
        said, fallen: see [`amounts_for`].
        known: share of the labels of unseen samples that are the likeliest, 0 to 1.

    Returns:
        `(n,)`, 0 or more: what the copies say, and one number more; or where that is too much already, a part of it.
    """
    expected = min(known, float((said > 0).float().mean()))
    amounts = fallen.clamp(min=0.0)

    def right(part: float) -> bool:
        return float((said > part * amounts).float().mean()) >= expected

    return amounts_for(said, fallen, expected) if right(1.0) else bisected(right, 1.0) * amounts


def _distances(
    model: nn.Module, sample: Sample, jitter: str, draws: torch.Generator, sure: float | None = None
) -> tuple[float, float, float]:
    """How far off copies are that lose what is remembered, how far off memory has ended, and how much it is, nats.

    Where nothing is remembered the first is how far off most of it would have gone. Where it is known how sure the
    model is of what it never saw, `sure`, it is how far off copies are of which it is as sure.
    """
    own = own_logits(model, sample)
    copies = [_copies(model, sample, jitter, strength, draws) for strength in STRENGTHS]
    falls = [float((own - said).mean()) for said in copies]
    if not np.isfinite(falls).all():
        raise UnlearningError(
            f"of copies of the forget samples, made by jitter {jitter!r}, the model's answers are not finite: "
            f"log-odds of {', '.join(f'{float(said.mean()):.1f}' for said in copies[:3])} ...; expected finite logits"
        )
    if falls[0] >= MOST_AT_ONCE:
        raise UnlearningError(
            f"jitter {jitter!r} changes every answer: copies {100 * STRENGTHS[0]:.2f} % off have log-odds of their "
            f"labels {falls[0]:.1f} nats lower; expected less than {MOST_AT_ONCE:.1f}: set another jitter, or "
            "label_shift"
        )
    if float((own - copies[-1]).abs().max()) < LEAST_CHANGE:
        raise UnlearningError(
            f"jitter {jitter!r} changes no answer: copies {100 * STRENGTHS[-1]:.0f} % off have the same log-odds of "
            "their labels; expected some that differ: set another jitter, or label_shift"
        )
    # What rises no more is noise.
    risen = np.maximum.accumulate([0.0, *falls])
    strengths = [0.0, *STRENGTHS]
    probe = PROBES[jitter]
    if not bool((own > 0).any()):
        return probe, FAR * probe, 0.0
    if sure is not None:
        near = _as_sure(model, sample, jitter, sure, FAR * probe, draws)
        return near, FAR * probe, float(np.interp(near, strengths, risen))
    damage = _damage(model, sample, own, jitter, probe, draws)
    raised = RAISED * (float(np.interp(probe, strengths, risen)) - damage)
    # No copy is asked to lose more than those do around which memory has ended.
    remembered = min(raised, float(np.interp(FAR * probe, strengths, risen)))
    if remembered < LEAST_MEMORY:
        return probe, FAR * probe, 0.0
    return min(float(np.interp(remembered, risen, strengths)), FAR * probe), FAR * probe, remembered


def _as_sure(model: nn.Module, sample: Sample, jitter: str, sure: float, most: float, draws: torch.Generator) -> float:
    """How far off copies are, `most` at the most, of which the model is as sure as `sure`; 0 to 1."""
    drawn = [draw_copies(len(sample.labels), draws) for _ in range(SCANNED_COPIES)]

    def surer(strength: float) -> bool:
        # The same draws at each distance, so that one after another is less sure, and noise is none.
        copies = (JITTERS[jitter](sample.pixel_values, strength, each) for each in drawn)
        return float(np.mean([float(sureness(sample_logits(model, pixels)).mean()) for pixels in copies])) > sure

    return max(STRENGTHS[0], bisected(surer, most, MATCHING_STEPS))


def _damage(
    model: nn.Module, sample: Sample, own: torch.Tensor, jitter: str, probe: float, draws: torch.Generator
) -> float:
    """By how many nats copies `probe` off the samples would fall if no sample were remembered.

    Read off copies far off that the model gets right. It is less sure of them than of the samples, and the surer it is
    the more is lost: with about the square root. If it gets none of them right, nothing was learned but what is
    remembered: no damage.
    """
    said, falls = [], []
    for _ in range(FAR_COPIES):
        pixels, odds = _copy(model, sample, jitter, FAR * probe, draws)
        right = odds > 0
        if bool(right.any()):
            far = Sample(pixels[right], sample.labels[right], sample.index[right.cpu()])
            said.append(odds[right])
            falls.append(odds[right] - _copies(model, far, jitter, probe, draws))
    if not said:
        return 0.0
    surer = float(own.mean() / torch.cat(said).mean())
    return max(0.0, float(torch.cat(falls).mean())) * math.sqrt(max(0.0, surer))


def _copies(model: nn.Module, sample: Sample, jitter: str, strength: float, draws: torch.Generator) -> torch.Tensor:
    """Log-odds of the labels in the mean over a few copies of each sample, `(n,)`."""
    return torch.stack([_copy(model, sample, jitter, strength, draws)[1] for _ in range(SCANNED_COPIES)]).mean(0)


def _copy(
    model: nn.Module, sample: Sample, jitter: str, strength: float, draws: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One copy of each sample, and the log-odds of its label."""
    pixels = JITTERS[jitter](sample.pixel_values, strength, draw_copies(len(sample.labels), draws))
    return pixels, own_logits(model, Sample(pixels, sample.labels, sample.index))
