"""Steps are of the same samples in any layout: every sample once a pass, none twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.data.exact_batches import IGNORED, Padded, StepBatches, split_ignored


class Order:
    """Positions from last to first, moved on by the pass."""

    def __init__(self, size):
        self.size, self.epoch = size, 0

    def __len__(self):
        return self.size

    def __iter__(self):
        return iter([(position + self.epoch) % self.size for position in reversed(range(self.size))])

    def set_epoch(self, epoch):
        self.epoch = epoch


def steps_of(size, batch_size, accumulation, num_processes, epoch=0, drop_last=False):
    """The samples of each optimizer step, over all processes."""
    all_batches = []
    for rank in range(num_processes):
        batches = StepBatches(Order(size), size, batch_size, accumulation, rank, num_processes, drop_last)
        batches.batch_sampler.set_epoch(epoch)
        mine = list(batches)
        assert len(mine) == len(batches) and all(mine), "no process may be without a batch"
        all_batches.append(mine)
    assert len({len(mine) for mine in all_batches}) == 1, "all processes make as many batches"
    steps = []
    for start in range(0, len(all_batches[0]), accumulation):
        chosen = [index for mine in all_batches for batch in mine[start : start + accumulation] for index in batch]
        steps.append(Counter(index for index in chosen if index < size))
    return steps


@given(
    size=st.integers(1, 60),
    batch_size=st.integers(1, 5),
    accumulation=st.integers(1, 4),
    num_processes=st.integers(1, 4),
    epoch=st.integers(0, 3),
    drop_last=st.booleans(),
)
def test_any_layout_makes_the_steps_of_one_process(size, batch_size, accumulation, num_processes, epoch, drop_last):
    steps = steps_of(size, batch_size, accumulation, num_processes, epoch, drop_last)
    step_size = batch_size * accumulation * num_processes
    assert steps == steps_of(size, step_size, 1, 1, epoch, drop_last)
    seen = sum(steps, Counter())
    assert seen <= Counter(range(size)) and seen.total() == (size // step_size * step_size if drop_last else size)


def test_what_is_filled_in_does_not_count():
    import torch

    data = Padded([{"labels": 3, "index": row} for row in range(4)])
    assert [item["labels"] for item in data.__getitems__([1, 6])] == [3, IGNORED]
    assert data[6]["index"] == 2 and len(data) == 4
    inputs, counted = split_ignored({"labels": torch.tensor([3, IGNORED])})
    assert inputs["labels"].tolist() == [3, 0] and counted.tolist() == [True, False]
