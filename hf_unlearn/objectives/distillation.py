"""Distillation: how far a student's distribution is from a teacher's."""

from __future__ import annotations

import torch


def teacher_divergence(logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """KL(t ‖ s) of the probabilities t = softmax(teacher / T) and s = softmax(student / T).

    Args:
        logits: of the student, `(batch, num_labels)`.
        teacher_logits: `(batch, num_labels)`; no gradient goes to them.
        temperature: T, above 0.

    Returns:
        `(batch,)`, in nats, at least 0; not multiplied by T².

    Raises:
        ValueError: a temperature that is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected a number above 0")
    wide = torch.promote_types(logits.dtype, torch.float32)
    teacher = (teacher_logits.detach().to(wide) / temperature).log_softmax(1)
    student = (logits.to(wide) / temperature).log_softmax(1)
    return (teacher.exp() * (teacher - student)).sum(1)
