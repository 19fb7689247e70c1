"""Whether the rest of the model is still there after a run, as far as the forget samples can tell."""

from __future__ import annotations

import torch
from torch import nn

from hf_unlearn.objectives import Surroundings
from hf_unlearn.trainers.safety.samples import Sample, sample_logits

# Below this share of inputs near the forget samples on which the original and the unlearned model agree, the model
# is taken for collapsed. In the study every sound run lies above it, and so do some that lost much.
LEAST_AGREEMENT = 0.5
# Inputs near each forget sample that are looked at where one class is left: which is likeliest then says nothing.
PASSES = 4
# A correlation below this is a head that answers the reverse. Sound runs were seen down to -0.6.
REVERSED = -0.9


@torch.no_grad()
def surroundings_agreement(
    original: nn.Module, model: nn.Module, sample: Sample, size: int, seed: int, left_out: torch.Tensor | None = None
) -> float:
    """Share of inputs near forget samples whose likeliest class for the one model is a likely one for the other.

    Likely is the likeliest twentieth of the classes, or with up to 20 of them the likeliest one. The samples' own
    label is left out. Where that leaves one class, it is the share that [`_kept_answers`] says.

    What a model says of such inputs rests on the features that all classes share, so this falls when the rest of the
    model is damaged, without any retained data being looked at. Between 0 and 1; 0 if a logit is not finite.

    Args:
        sample: of the forget set, which has `size` samples.
        seed: of the inputs near them.
        left_out: further classes that do not count.
    """
    surroundings = Surroundings(size, seed)
    before, after = (
        sample_logits(each, surroundings.near(sample.pixel_values, sample.index, pass_number=0))
        for each in (original, model)
    )
    if not (torch.isfinite(before).all() and torch.isfinite(after).all()):
        return 0.0
    gone = torch.nn.functional.one_hot(sample.labels, before.shape[1]).bool()
    if left_out is not None:
        gone = gone.index_fill(1, left_out.to(gone.device), True)
    if int((~gone).sum(1).max()) == 1:
        near = [surroundings.near(sample.pixel_values, sample.index, number) for number in range(1, PASSES)]
        told = torch.cat([before, *(sample_logits(original, inputs) for inputs in near)])
        tells = torch.cat([after, *(sample_logits(model, inputs) for inputs in near)])
        return _kept_answers(told, tells, gone.repeat(PASSES, 1))
    ranked = [logits.masked_fill(gone, float("-inf")).argsort(1, descending=True) for logits in (before, after)]
    likely = max(1, round(ranked[0].shape[1] / 20))
    return float((ranked[0][:, :1] == ranked[1][:, :likely]).any(1).float().mean())


def _kept_answers(before: torch.Tensor, after: torch.Tensor, gone: torch.Tensor) -> float:
    """Of the inputs that the original gives to a class that stays, the share that still gets just that class.

    Where a class goes its inputs may go to any that stays, even to the only one; those that the original gave to one
    of these have no reason to leave it. All answers compete here, the forgotten classes' too, and a tie is no answer.

    Where there is no such input, a model is taken for broken that answers all inputs alike, or in the reverse order.

    Args:
        before, after: logits of the two models, `(inputs, num_labels)`.
        gone: which classes of each input go, boolean, of the same shape, not all of an input.
    """
    said = before.argmax(1, keepdim=True)
    stays = ~gone.gather(1, said).squeeze(1)
    if stays.any():
        others = after.scatter(1, said, float("-inf")).amax(1)
        return float((after.gather(1, said).squeeze(1) > others)[stays].float().mean())
    gone = gone.cpu()  # as not every accelerator has float64
    leans = [
        each.masked_fill(gone, float("-inf")).logsumexp(1) - each.masked_fill(~gone, float("-inf")).logsumexp(1)
        for each in (before.cpu().double(), after.cpu().double())
    ]
    alike = leans[1].std(correction=0) <= 1e-6 * leans[1].abs().mean().clamp_min(1e-6)
    return 0.0 if alike or torch.corrcoef(torch.stack(leans))[0, 1] < REVERSED else 1.0
