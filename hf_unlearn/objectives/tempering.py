"""LoTUS: the original's answers, tempered as far as accuracy lies above that on unseen data (arXiv 2503.18314)."""

from __future__ import annotations

import math

import torch

from hf_unlearn.objectives.draws import PassDraws


def tempered(accuracy: float, unseen_accuracy: float, alpha: float) -> float:
    """τ = exp(α (acc(f_u, D_f) − acc(f_o, D_unseen))), both accuracies between 0 and 1 (arXiv 2503.18314)."""
    return math.exp(alpha * (accuracy - unseen_accuracy))


def smoothed_distillation(
    logits: torch.Tensor, teacher_logits: torch.Tensor, gumbel: torch.Tensor, temperature: float, hard: torch.Tensor
) -> torch.Tensor:
    """−Σ_k t_k log s_k, with t a Gumbel-softmax of what the teacher says (arXiv 2503.18314).

    t = softmax((z + g) / τ) for the one kind of samples, and its limit τ → 0, the one-hot of argmax(z + g), for the
    other. s = softmax of the student's logits.

    Args:
        logits, teacher_logits: `(batch, num_labels)`; no gradient goes to the teacher's, z.
        gumbel: g, standard Gumbel noise of the same shape, or zeros.
        temperature: τ, above 0.
        hard: which samples get the one-hot target, boolean `(batch,)`.

    Returns:
        `(batch,)`, in nats.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    perturbed = teacher_logits.detach().to(wide) + gumbel.to(teacher_logits.device, wide)
    soft = (perturbed / temperature).softmax(1)
    sharp = torch.nn.functional.one_hot(perturbed.argmax(1), perturbed.shape[1]).to(soft)
    target = torch.where(hard.unsqueeze(1), sharp, soft)
    return -(target * logits.to(wide).log_softmax(1)).sum(1)


class SampleGumbel:
    """Standard Gumbel noise tied to the sample and the pass (see [`PassDraws`]).

    Args:
        num_samples: of a pass.
        num_labels: numbers a sample.
        seed: of all passes.
    """

    def __init__(self, num_samples: int, num_labels: int, seed: int):
        def draw(generator: torch.Generator) -> torch.Tensor:
            return -torch.empty(num_samples, num_labels).exponential_(generator=generator).log()

        self._draws = PassDraws(draw, seed, 5)

    def of(self, indices: torch.Tensor, pass_number: int) -> torch.Tensor:
        """g for the samples at `indices`, `(batch, num_labels)`, on the CPU."""
        return self._draws.of(indices, pass_number)
