from __future__ import annotations

import pytest

from hf_unlearn.errors import did_you_mean


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Rocekt", "did you mean 'rocket'?"),
        ("tench", "did you mean 'tench, Tinca tinca'?"),
        ("tinca Tinca", "did you mean 'tench, Tinca tinca'?"),
        ("zzz", "there are: 'rocket', 'tench, Tinca tinca'"),
    ],
)
def test_the_nearest_name_is_meant(name, near):
    assert did_you_mean(name, ["rocket", "tench, Tinca tinca"]) == near
