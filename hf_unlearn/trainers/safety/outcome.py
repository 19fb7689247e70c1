"""Whether the rest of the model is still there after a run, as far as the forget samples can tell."""

from __future__ import annotations

import torch
from torch import nn

from hf_unlearn.objectives import Surroundings
from hf_unlearn.trainers.safety.samples import Sample, sample_logits

# Below this share of inputs near the forget samples on which the original and the unlearned model agree, the model
# is taken for collapsed. In the study every sound run lies above it, and so do some that lost much.
LEAST_AGREEMENT = 0.5


@torch.no_grad()
def surroundings_agreement(
    original: nn.Module, model: nn.Module, sample: Sample, size: int, seed: int, left_out: torch.Tensor | None = None
) -> float:
    """Share of inputs near forget samples whose likeliest class for the one model is a likely one for the other.

    Likely is the likeliest twentieth of the classes, or with up to 20 of them the likeliest one. The samples' own
    label is left out.

    What a model says of such inputs rests on the features that all classes share, so this falls when the rest of the
    model is damaged, without any retained data being looked at. Between 0 and 1; 0 if a logit is not finite.

    Args:
        sample: of the forget set, which has `size` samples.
        seed: of the inputs near them.
        left_out: further classes that do not count.
    """
    near = Surroundings(size, seed).near(sample.pixel_values, sample.index, pass_number=0)
    ranked = []
    for answering in (original, model):
        logits = sample_logits(answering, near)
        if not torch.isfinite(logits).all():
            return 0.0
        logits = logits.scatter(1, sample.labels.unsqueeze(1), float("-inf"))
        if left_out is not None:
            logits = logits.index_fill(1, left_out.to(logits.device), float("-inf"))
        ranked.append(logits.argsort(1, descending=True))
    likely = max(1, round(ranked[0].shape[1] / 20))
    return float((ranked[0][:, :1] == ranked[1][:, :likely]).any(1).float().mean())
