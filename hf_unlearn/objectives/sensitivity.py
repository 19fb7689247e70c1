"""Per-sample input sensitivity: the squared norm of a logit's gradient with respect to the input."""

from __future__ import annotations

import torch

from hf_unlearn.objectives.second_order import input_gradients


def squared_input_sensitivities(
    logits: torch.Tensor,
    pixel_values: torch.Tensor,
    *classes: torch.Tensor,
    create_graph: bool = True,
) -> tuple[torch.Tensor, ...]:
    """‖∇ₓ f_k(x)‖_F² of one chosen logit k a sample, for one or several choices (arXiv 2402.15109, Eq. 3).

    The gradient of the batch's summed logits is the per-sample gradient only if no layer mixes samples:
    BatchNorm must be in eval mode.

    Args:
        logits: `(batch, num_labels)`, computed from `pixel_values`, not probabilities.
        pixel_values: `(batch, ...)`, with `requires_grad`.
        classes: each an integer tensor `(batch,)`: the logit chosen for each sample.
        create_graph: keep the graph, so that the result can be differentiated with respect to the weights.

    Returns:
        For each of `classes` a tensor `(batch,)`, in squared logits per squared unit of `pixel_values`.
        It is float32 at least: half-precision gradients are squared and summed in float32.

    Raises:
        ValueError: `pixel_values` does not require a gradient, or a class tensor is not `(batch,)`.
    """
    if not pixel_values.requires_grad:
        raise ValueError("pixel_values must require a gradient before the forward pass that gave the logits")
    sensitivities = []
    for position, chosen in enumerate(classes, start=1):
        if chosen.shape != logits.shape[:1]:
            raise ValueError(f"classes must be of shape ({len(logits)},), one a sample; got {tuple(chosen.shape)}")
        chosen_logits = logits.gather(1, chosen.unsqueeze(1)).sum()
        with input_gradients():
            (gradient,) = torch.autograd.grad(
                chosen_logits,
                pixel_values,
                create_graph=create_graph,
                retain_graph=create_graph or position < len(classes),
            )
        wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        sensitivities.append(wide.flatten(1).square().sum(1))
    return tuple(sensitivities)
