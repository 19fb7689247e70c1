"""In which order a run sees forget and retained samples, where that is part of the method.

An order is one of the whole run. Forget samples are numbered from 0, retained ones from `num_forget` on. It depends on
the seed alone: not on batches, on the number of processes, or on a restart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from hf_unlearn.objectives.draws import PassDraws


class _Shuffles:
    """Shuffled passes over `size` things."""

    def __init__(self, size: int, seed: int, stream: int):
        self.size = size
        self._draws = PassDraws(lambda g: torch.randperm(size, generator=g), seed, stream)

    def of(self, pass_number: int) -> list[int]:
        return self._draws.of(torch.arange(self.size), pass_number).tolist()

    def endless(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self.of(number) for number in itertools.count())


class PairOrder(Sampler[int]):
    """A forget sample, a retained one, a forget sample, and so on: any even batch holds as many of each.

    Args:
        num_forget, num_retain: sizes of the sets; each is gone through in shuffled passes of its own.
        num_pairs: length of the run.
        seed: of the shuffles.
    """

    def __init__(self, num_forget: int, num_retain: int, num_pairs: int, seed: int):
        self.num_forget = num_forget
        self.num_pairs = num_pairs
        self._shuffles = (_Shuffles(num_forget, seed, 11), _Shuffles(num_retain, seed, 12))

    def __len__(self) -> int:
        return 2 * self.num_pairs

    def __iter__(self) -> Iterator[int]:
        forget, retain = (shuffles.endless() for shuffles in self._shuffles)
        for first, second in itertools.islice(zip(forget, retain, strict=False), self.num_pairs):
            yield first
            yield self.num_forget + second


class PhaseOrder(Sampler[int]):
    """Pass by pass: in the first `max_passes` all forget samples; then, in each, all retained ones (SCRUB).

    A phase is filled up to whole steps with samples from its beginning, so that no step holds both kinds.

    Args:
        num_forget, num_retain: sizes of the sets.
        step_size: samples of a step.
        num_passes: passes in all.
        max_passes: how many of them begin with the forget samples.
        seed: of the shuffles.
    """

    def __init__(self, num_forget: int, num_retain: int, step_size: int, num_passes: int, max_passes: int, seed: int):
        self.num_forget = num_forget
        self.step_size = step_size
        self.num_passes = num_passes
        self.max_passes = min(max_passes, num_passes)
        self._shuffles = (_Shuffles(num_forget, seed, 11), _Shuffles(num_retain, seed, 12))

    def __len__(self) -> int:
        forget, retain = (-(-shuffles.size // self.step_size) * self.step_size for shuffles in self._shuffles)
        return self.max_passes * forget + self.num_passes * retain

    def __iter__(self) -> Iterator[int]:
        for number in range(self.num_passes):
            for shuffles, start in zip(self._shuffles, (0, self.num_forget), strict=True):
                if start or number < self.max_passes:
                    whole = -(-shuffles.size // self.step_size) * self.step_size
                    yield from (start + row for row in itertools.islice(itertools.cycle(shuffles.of(number)), whole))
