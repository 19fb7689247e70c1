"""KL of probabilities, not of logits."""

from __future__ import annotations

import math

import pytest
import torch

from hf_unlearn.objectives import teacher_divergence


def test_by_hand():
    # t = (3/4, 1/4), s = (1/2, 1/2).
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert teacher_divergence(student, teacher).item() == pytest.approx(expected)
    # The other way round it is another number.
    assert teacher_divergence(teacher, student).item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    assert teacher_divergence(teacher, student).item() != pytest.approx(expected, rel=0.01)


def test_logits_have_no_level():
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    torch.testing.assert_close(
        teacher_divergence(student + 7, teacher - 3), teacher_divergence(student, teacher), rtol=1e-4, atol=1e-6
    )


def test_the_temperature_divides_both():
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    torch.testing.assert_close(teacher_divergence(student, teacher, 4.0), teacher_divergence(student / 4, teacher / 4))
    with pytest.raises(ValueError, match="temperature is 0"):
        teacher_divergence(student, teacher, 0)


def test_gradient_is_the_difference_of_the_probabilities():
    student, teacher = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    teacher_divergence(student, teacher).sum().backward()
    torch.testing.assert_close(student.grad, (student.softmax(1) - teacher.softmax(1)).detach())
    assert teacher.grad is None
