"""Evenly spaced rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hf_unlearn.data.spacing import evenly_spaced


@given(st.integers(0, 2000), st.integers(1, 300))
def test_rows_are_distinct_and_spread_over_all(size, most):
    rows = evenly_spaced(size, most).tolist()
    assert len(rows) == min(size, most) and rows == sorted(set(rows))
    if len(rows) > 1:
        assert (rows[0], rows[-1]) == (0, size - 1)
        gaps = [b - a for a, b in zip(rows, rows[1:], strict=False)]
        assert max(gaps) - min(gaps) <= 2
