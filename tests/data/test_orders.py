"""Orders of a whole run: who comes when, and that only the seed decides it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.data.orders import PairOrder, PhaseOrder

SIZES = {"num_forget": st.integers(1, 9), "num_retain": st.integers(1, 20), "seed": st.integers(0, 9)}


@given(**SIZES, num_pairs=st.integers(0, 40))
def test_pairs(num_forget, num_retain, num_pairs, seed):
    order = list(PairOrder(num_forget, num_retain, num_pairs, seed))
    assert len(order) == len(PairOrder(num_forget, num_retain, num_pairs, seed)) == 2 * num_pairs
    first, second = order[::2], [index - num_forget for index in order[1::2]]
    for seen, size in ((first, num_forget), (second, num_retain)):
        assert all(0 <= index < size for index in seen)
        # Pass after pass without a repetition inside one.
        for start in range(0, num_pairs, size):
            assert max(Counter(seen[start : start + size]).values(), default=1) == 1
    # A longer run begins as a shorter one does.
    assert list(PairOrder(num_forget, num_retain, num_pairs + 5, seed))[: len(order)] == order


@given(**SIZES, step=st.integers(1, 7), passes=st.integers(1, 4), most=st.integers(0, 5))
def test_phases(num_forget, num_retain, step, passes, most, seed):
    order = PhaseOrder(num_forget, num_retain, step, passes, most, seed)
    seen = list(order)
    assert len(seen) == len(order)
    steps = [seen[start : start + step] for start in range(0, len(seen), step)]
    kinds = [{index >= num_forget for index in one} for one in steps]
    assert all(len(one) == step for one in steps) and all(len(kind) == 1 for kind in kinds)
    ascents, descents = -(-num_forget // step), -(-num_retain // step)
    expected = []
    for number in range(passes):
        expected += [{False}] * (ascents if number < most else 0) + [{True}] * descents
    assert kinds == expected
    # Each descent sees every retained sample.
    assert {index for one in steps[-descents:] for index in one} == set(range(num_forget, num_forget + num_retain))


def test_the_seed_and_nothing_else_shuffles():
    import torch

    torch.manual_seed(0)
    first = list(PhaseOrder(8, 12, 4, 2, 1, seed=0))
    torch.manual_seed(1)
    assert list(PhaseOrder(8, 12, 4, 2, 1, seed=0)) == first != list(PhaseOrder(8, 12, 4, 2, 1, seed=1))
    assert first[8:20] != first[20:32], "each pass has an order of its own"
