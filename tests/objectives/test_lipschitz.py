"""JiT's loss on a model whose Lipschitz constant is known, and noise that is the sample's own."""

from __future__ import annotations

import pytest
import torch

from hf_unlearn.objectives import SampleNoise, lipschitz_ratio


def test_a_linear_model_by_hand():
    # f(x) = A x with A = ((3, 0), (0, 4)): noise along the first axis is stretched by 3, along the second by 4, and
    # (1, 1) by 5 / sqrt(2).
    matrix = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    inputs = torch.tensor([[0.5, -2.0]])
    noise = torch.tensor([[[0.1, 0.0]], [[0.0, 7.0]], [[1.0, 1.0]]])
    ratio = lipschitz_ratio(inputs @ matrix.T, (inputs + noise) @ matrix.T, noise)
    assert ratio.tolist() == pytest.approx([(3 + 4 + 5 / 2**0.5) / 3], rel=1e-5)


def test_the_gradient_goes_to_the_clean_logits_alone():
    logits, noisy = torch.randn(4, 3, requires_grad=True), torch.randn(2, 4, 3, requires_grad=True)
    noise = torch.randn(2, 4, 5)
    lipschitz_ratio(logits, noisy, noise).sum().backward()
    assert noisy.grad is None
    apart = logits.detach() - noisy.detach()
    unit = apart / apart.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(logits.grad, unit.mean(0))


def test_noise_is_tied_to_sample_and_pass():
    pixels = torch.zeros(6, 2, 4, 4)
    noise = SampleNoise(6, seed=0, deviation=0.5, count=3)
    whole = noise.of(pixels, torch.arange(6), 0)
    assert whole.shape == (3, 6, 2, 4, 4)
    again = SampleNoise(6, seed=0, deviation=0.5, count=3).of(pixels[:2], torch.tensor([4, 1]), 0)
    assert torch.equal(again, whole[:, [4, 1]])
    assert not torch.equal(noise.of(pixels, torch.arange(6), 1), whole)
    assert not torch.equal(SampleNoise(6, 1, 0.5, 3).of(pixels, torch.arange(6), 0), whole)
    many = SampleNoise(6, seed=0, deviation=0.5, count=200).of(pixels, torch.arange(6), 0)
    assert many.std().item() == pytest.approx(0.5, rel=0.02) and abs(many.mean().item()) < 0.01
