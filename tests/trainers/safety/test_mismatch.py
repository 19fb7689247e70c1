from __future__ import annotations

import pytest
import torch

from hf_unlearn.trainers.safety.mismatch import label_mismatch
from tests.tiny import make_model
from tests.trainers.runs import make


@pytest.mark.parametrize(
    ("accuracy", "num_labels", "said"),
    [(0.0, 1000, True), (4.0, 1000, True), (6.0, 1000, False), (25.0, 4, True), (40.0, 4, False), (90.0, 2, False)],
)
def test_what_is_no_better_than_chance_is_said(accuracy, num_labels, said):
    found = label_mismatch(accuracy, num_labels)
    assert (found is not None) is said
    assert not said or f"{accuracy:.1f} %" in str(found) and "mismatched" in str(found)


@pytest.mark.parametrize(("answered", "said"), [(0, False), (2, True)])
def test_a_model_of_other_labels_is_told_before_it_unlearns(tmp_path, caplog, answered, said):
    model = make_model("vit")
    with torch.no_grad():
        # The forget samples are of class 0.
        model.classifier.bias.copy_(100.0 * torch.nn.functional.one_hot(torch.tensor(answered), 4))
    trainer = make(tmp_path, "gradient_ascent", model, max_steps=1, stop_rule="steps")
    assert trainer.mismatch is None
    try:
        trainer.train()
    finally:
        assert (trainer.mismatch is not None) is said
        assert ("gives 0.0 % of the forget samples their label" in caplog.text) is said
