from __future__ import annotations

import pytest

from hf_unlearn.trainers.safety.mismatch import label_mismatch


@pytest.mark.parametrize(
    ("accuracy", "num_labels", "said"),
    [(0.0, 1000, True), (4.0, 1000, True), (6.0, 1000, False), (25.0, 4, True), (40.0, 4, False), (90.0, 2, False)],
)
def test_what_is_no_better_than_chance_is_said(accuracy, num_labels, said):
    found = label_mismatch(accuracy, num_labels)
    assert (found is not None) is said
    assert not said or f"{accuracy:.1f} %" in str(found) and "mismatched" in str(found)
