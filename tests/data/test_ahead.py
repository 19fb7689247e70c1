"""What threads make ahead comes in order, not too far ahead, and stops with whoever uses it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.data.ahead import ahead


@given(count=st.integers(0, 20), threads=st.integers(1, 5))
def test_in_order_and_each_once(count, threads):
    made = []
    found = list(ahead(lambda number: made.append(number) or number**2, range(count), threads))
    assert found == [(number, number**2) for number in range(count)] and sorted(made) == list(range(count))


def test_no_more_is_made_than_is_soon_needed():
    made, lock = set(), threading.Lock()

    def make(number):
        with lock:
            made.add(number)

    for number, _ in ahead(make, range(50), 3):
        assert max(made) <= number + 3


def test_an_error_comes_at_its_place_and_ends_the_work():
    made = []

    def make(number):
        made.append(number)
        if number == 4:
            raise ValueError("four")

    seen = []
    with pytest.raises(ValueError, match="four"):
        for number, _ in ahead(make, range(1000), 2):
            seen.append(number)
    assert seen == [0, 1, 2, 3] and max(made) < 10


def test_whoever_stops_early_leaves_no_work_behind():
    made = []
    running = ahead(made.append, range(1000), 2)
    next(running)
    running.close()
    assert len(made) <= 3 and threading.active_count() < 20
