"""The irrelevant class of each sample: any class but its own, drawn uniformly, anew each time."""

from __future__ import annotations

import torch


def draw_irrelevant_classes(
    labels: torch.Tensor, num_labels: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """One class c' ≠ c a sample, uniform over the other `num_labels − 1` classes.

    Args:
        labels: integer tensor `(batch,)`, each in `[0, num_labels)`.
        num_labels: number of classes of the model, at least 2.
        generator: source of randomness, on the CPU.

    Returns:
        Integer tensor `(batch,)` on the device of `labels`.

    Raises:
        ValueError: fewer than two classes: there is no irrelevant one.
    """
    if num_labels < 2:
        raise ValueError(f"a model with {num_labels} label has no irrelevant class; expected at least 2 labels")
    shift = torch.randint(1, num_labels, labels.shape, generator=generator).to(labels.device)
    return (labels + shift) % num_labels


class IrrelevantClassSampler:
    """Irrelevant classes tied to the sample and the pass over the forget set, whatever the batches.

    The draws of one pass are made for the whole forget set at once, from a generator seeded with `seed` and the
    pass number. So they do not depend on batch size, accumulation, number of processes, or on a restart.
    """

    def __init__(self, num_samples: int, num_labels: int, seed: int):
        if num_labels < 2:
            raise ValueError(f"a model with {num_labels} label has no irrelevant class; expected at least 2 labels")
        self.num_samples = num_samples
        self.num_labels = num_labels
        self.seed = seed
        self._pass_number: int | None = None
        self._shifts = torch.empty(0, dtype=torch.long)

    def draw(self, labels: torch.Tensor, indices: torch.Tensor, pass_number: int) -> torch.Tensor:
        """c' of the samples at `indices` (their positions in the forget set) in pass `pass_number`, `(batch,)`."""
        if pass_number != self._pass_number:
            # torch hashes the seed, so neighbouring seeds give unrelated streams.
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + pass_number) % 2**63)
            self._shifts = torch.randint(1, self.num_labels, (self.num_samples,), generator=generator)
            self._pass_number = pass_number
        shift = self._shifts[indices.cpu()].to(labels.device)
        return (labels + shift) % self.num_labels
