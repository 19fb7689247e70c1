"""Random draws tied to the sample and the pass over the forget set, whatever the batches."""

from __future__ import annotations

from collections.abc import Callable

import torch


class PassDraws:
    """The draws of each pass are made for the whole forget set at once, from a generator of their own.

    The generator is seeded with `seed`, `stream` and the pass number. So the draws do not depend on batch size,
    accumulation, number of processes, or on a restart; and two streams of one seed are unrelated.

    Args:
        draw: makes the draws of a pass, one row a sample, from a generator on the CPU.
        seed: of all passes.
        stream: which of several kinds of draws with the same seed.
    """

    def __init__(self, draw: Callable[[torch.Generator], torch.Tensor], seed: int, stream: int = 0):
        self.draw = draw
        self.seed = seed
        self.stream = stream
        self._pass_number: int | None = None
        self._draws = torch.empty(0)

    def of(self, indices: torch.Tensor, pass_number: int) -> torch.Tensor:
        """The draws of the samples at `indices` (positions in the forget set) in pass `pass_number`, on the CPU."""
        if pass_number != self._pass_number:
            # The primes keep (seed, stream, pass) apart; the generator hashes the number that comes out.
            number = (self.seed * 1_000_003 + self.stream) * 1_000_033 + pass_number
            self._draws = self.draw(torch.Generator().manual_seed(number % 2**63))
            self._pass_number = pass_number
        return self._draws[indices.cpu()]
