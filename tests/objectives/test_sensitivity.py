"""Per-sample sensitivities: closed forms, one sample at a time, and finite differences of the loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hf_unlearn.objectives import difference_loss, log_ratio_loss, matched_loss, squared_input_sensitivities
from tests.tiny import make_model


def test_linear_model_has_its_weights_as_gradient():
    linear = nn.Linear(6, 4).double()
    pixels = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    first, second = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([3, 2, 1, 0, 2])
    target, irrelevant = squared_input_sensitivities(linear(pixels), pixels, first, second)
    squared_rows = linear.weight.square().sum(1)
    torch.testing.assert_close(target, squared_rows[first])
    torch.testing.assert_close(irrelevant, squared_rows[second])


def test_batch_agrees_with_one_sample_at_a_time(architecture):
    model = make_model(architecture).double()
    pixels = torch.randn(6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 1, 2])
    batch = pixels.clone().requires_grad_()
    (together,) = squared_input_sensitivities(model(pixel_values=batch).logits, batch, labels, create_graph=False)
    for row, label in enumerate(labels):
        one = pixels[row : row + 1].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(pixel_values=one).logits[0, label], one)
        torch.testing.assert_close(together[row], gradient.square().sum(), rtol=1e-9, atol=1e-12)


def test_batchnorm_in_train_mode_would_mix_samples():
    # Why the trainer unlearns in eval mode: this is the error that it avoids.
    model = make_model("resnet").double().train()
    pixels = torch.randn(6, 3, 16, 16, dtype=torch.float64)
    labels = torch.zeros(6, dtype=torch.long)
    whole = pixels.clone().requires_grad_()
    half = pixels[:3].clone().requires_grad_()
    (of_six,) = squared_input_sensitivities(model(pixel_values=whole).logits, whole, labels, create_graph=False)
    (of_three,) = squared_input_sensitivities(model(pixel_values=half).logits, half, labels[:3], create_graph=False)
    assert not torch.allclose(of_six[:3], of_three, rtol=0.01)


def matched(target, irrelevant):
    return matched_loss(target, 0.03)


@pytest.mark.parametrize("objective", [difference_loss, log_ratio_loss, matched])
def test_gradient_agrees_with_finite_differences_of_the_loss(objective):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    pixels = torch.randn(4, 5, dtype=torch.float64)
    labels, irrelevant_classes = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 2, 0, 2])

    def loss() -> torch.Tensor:
        inputs = pixels.clone().requires_grad_()
        return objective(*squared_input_sensitivities(model(inputs), inputs, labels, irrelevant_classes)).mean()

    loss().backward()
    step = 1e-6
    for parameter in model.parameters():
        analytic = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for position in range(parameter.numel()):
            flat = parameter.data.view(-1)
            value = flat[position].item()
            flat[position] = value + step
            above = loss().item()
            flat[position] = value - step
            below = loss().item()
            flat[position] = value
            assert (above - below) / (2 * step) == pytest.approx(analytic.view(-1)[position].item(), rel=1e-5, abs=1e-7)


def test_half_precision_is_squared_in_float32():
    linear = nn.Linear(4, 2).bfloat16()
    pixels = torch.randn(3, 4, dtype=torch.bfloat16, requires_grad=True)
    (target,) = squared_input_sensitivities(linear(pixels), pixels, torch.tensor([0, 1, 0]))
    assert target.dtype == torch.float32


def test_pixels_without_gradient_are_refused():
    pixels = torch.randn(2, 4)
    with pytest.raises(ValueError, match="must require a gradient"):
        squared_input_sensitivities(nn.Linear(4, 2)(pixels), pixels, torch.tensor([0, 1]))


def test_one_class_a_sample_is_expected():
    pixels = torch.randn(2, 4, requires_grad=True)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        squared_input_sensitivities(nn.Linear(4, 2)(pixels), pixels, torch.tensor([0, 1, 1]))
