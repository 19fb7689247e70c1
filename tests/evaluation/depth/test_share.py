"""The share of the way from the original to the retrained model."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hf_unlearn.evaluation.depth.share import Depth, depth_of, mean_depth


def test_by_hand():
    # The original at 100, retrained models at 18 and 22: a model at 80 went a quarter of the way.
    found = depth_of(100, 80, [18, 22])
    assert found == Depth(25.0, 5.0) and found.reached == 25
    assert depth_of(100, 20, [20]) == Depth(100.0, None)


@pytest.mark.parametrize(("share", "reached"), [(0, 0), (100, 100), (130, 70), (250, 0), (-40, 0), (60, 60)])
def test_who_overshoots_is_as_far_off_as_who_stays_behind(share, reached):
    assert Depth(share, None).reached == reached


VALUES = st.floats(-100, 100)


@given(VALUES, VALUES, VALUES, st.floats(0.1, 10) | st.floats(-10, -0.1), st.floats(-9, 9))
def test_it_does_not_depend_on_the_probes_unit(original, unlearned, retrained, scale, move):
    assume(abs(original - retrained) > 0.1)
    moved = [scale * value + move for value in (original, unlearned, retrained)]
    plain, other = depth_of(original, unlearned, [retrained]), depth_of(moved[0], moved[1], moved[2:])
    assert other.share == pytest.approx(plain.share, rel=1e-6, abs=1e-6)


def test_where_retrained_models_differ_by_as_much_nothing_is_told():
    assert depth_of(50, 40, [40, 60]) is None
    assert depth_of(50, 40, [50]) is None
    assert depth_of(50, 49, [48.5], least=2.0) is None and depth_of(50, 49, [47.5], least=2.0) is not None


def test_the_mean_is_over_probes_that_tell():
    depths = {"a": Depth(50.0, 4.0), "b": Depth(120.0, 8.0), "c": None}
    assert mean_depth(depths) == Depth(65.0, 6.0)
    assert mean_depth({"a": Depth(50.0, None)}) == Depth(50.0, None)
    assert mean_depth({"a": None}) is None


def test_swapping_original_and_retrained_turns_it_round():
    assert depth_of(100, 80, [20]).share + depth_of(20, 80, [100]).share == pytest.approx(100)


@pytest.mark.parametrize(("original", "retrained"), [(float("nan"), [1.0]), (1.0, []), (1.0, [float("inf")])])
def test_bad_input_is_refused(original, retrained):
    with pytest.raises(ValueError, match="expected finite ones"):
        depth_of(original, 1.0, retrained)
