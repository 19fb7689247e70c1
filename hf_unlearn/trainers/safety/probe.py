"""The double backward tried on two forget samples, before the first step: what no list of layers can foresee."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from hf_unlearn.errors import one_line
from hf_unlearn.objectives import double_backward, squared_input_sensitivities
from hf_unlearn.trainers.safety.preflight import Problem
from hf_unlearn.trainers.safety.samples import Sample


def probe_double_backward(model: PreTrainedModel, sample: Sample, fast: bool = True) -> list[Problem]:
    """What goes wrong when the sensitivities of two samples are differentiated with respect to the weights.

    Gradients that the weights hold are left alone, and so is the random state.

    Args:
        sample: of the forget set; its first two samples are used.
        fast: see [`double_backward`].

    Returns:
        Problems, empty when the model can be unlearned: a layer without a second derivative, a layer through which
        one sample's logits depend on another sample, or sensitivities that no weight changes.
    """
    model.eval()
    pixels = sample.pixel_values[:2].clone().requires_grad_()
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    held = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    try:
        with double_backward(fast):
            logits = model(pixel_values=pixels)["logits"]
            # Unequal factors: centred logits add up to nothing.
            factors = torch.linspace(1, 2, logits.shape[1], device=logits.device, dtype=logits.dtype)
            (of_first,) = torch.autograd.grad((logits[0] * factors).sum(), pixels, retain_graph=True)
            (sensitivity,) = squared_input_sensitivities(logits, pixels, sample.labels[:2])
            # Not torch.autograd.grad: it leaves out a branch that ends in an error, and with it a part of the gradient.
            sensitivity.sum().backward()
        moved = any(weight.grad is not None and bool(weight.grad.any()) for weight in weights)
    except (RuntimeError, NotImplementedError) as error:
        return [
            Problem(
                f"a layer that cannot be differentiated twice ({one_line(error)})",
                "the loss holds a gradient, which is differentiated again",
                "load the model with attn_implementation='eager', replace the layer, or take another --method",
            )
        ]
    finally:
        for weight, gradient in zip(weights, held, strict=True):
            weight.grad = gradient
    problems = []
    if bool(of_first[1:].any()):
        problems.append(
            Problem(
                "a layer that mixes the samples of a batch",
                "a sample's gradient then depends on the batch that it is in",
                "replace the layer, or take another --method",
            )
        )
    if not moved:
        problems.append(
            Problem(
                "sensitivities that no weight changes",
                "there is nothing to lower them by",
                "check that the model has trainable weights between its input and its head, or take another --method",
            )
        )
    return problems
