"""The double backward is tried on two samples first: what has none is refused in one line, with the model untouched."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from hf_unlearn import UnlearningError
from hf_unlearn.trainers.safety.probe import probe_double_backward
from tests.tiny import make_model
from tests.trainers.methods.test_mu_mis import make_trainer, weights
from tests.trainers.safety.test_checks import make_sample


class OnceDifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs):
        return inputs.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient.clone()


class Once(nn.Module):
    def forward(self, hidden):
        return OnceDifferentiable.apply(hidden)


class Reentrant(nn.Module):
    def forward(self, hidden):
        return checkpoint(torch.tanh, hidden, use_reentrant=True)


class Mixing(nn.Module):
    def forward(self, hidden):
        return hidden - 0.1 * hidden.mean(0, keepdim=True)


class Cut(nn.Module):
    def forward(self, hidden):
        return hidden.detach() + 0.0 * hidden


class InPlace(nn.Module):
    """What the tanh keeps for its derivative is overwritten, unless the activation is told otherwise."""

    def __init__(self):
        super().__init__()
        self.activation = nn.ELU(inplace=True)

    def forward(self, hidden):
        return self.activation(torch.tanh(hidden))


def with_layer(layer):
    model = make_model("resnet")
    model.resnet.embedder.pooler = layer
    return model


BROKEN = [
    (Once(), "cannot be differentiated twice"),
    (Reentrant(), "cannot be differentiated twice"),
    (Mixing(), "mixes the samples of a batch"),
    (Cut(), "no weight changes"),
]


def test_sound_models_pass(architecture):
    model, sample = make_model(architecture), make_sample()
    assert probe_double_backward(model, sample) == []
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("layer", "named"), BROKEN)
def test_what_breaks_is_named_before_the_first_step(tmp_path, layer, named):
    model = with_layer(layer)
    trainer = make_trainer(tmp_path / "out", model)
    before = weights(trainer)
    with pytest.raises(UnlearningError, match=named) as caught:
        trainer.train()
    assert "\n" not in str(caught.value) and torch.equal(weights(trainer), before)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_in_place_activation_that_breaks_it_is_mended(tmp_path):
    model = with_layer(InPlace())
    assert "cannot be differentiated twice" in probe_double_backward(model, make_sample())[0].found
    trainer = make_trainer(tmp_path, model)
    assert any("in-place" in line for line in trainer.mended)
    before = weights(trainer)
    trainer.train()
    assert not torch.equal(weights(trainer), before)


def test_attention_without_a_second_derivative_would_be_found(monkeypatch):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    flash = [SDPBackend.FLASH_ATTENTION]
    monkeypatch.setattr("hf_unlearn.trainers.safety.probe.double_backward", lambda fast: sdpa_kernel(flash))
    (problem,) = probe_double_backward(make_model("vit"), make_sample())
    assert "not implemented" in problem.found
