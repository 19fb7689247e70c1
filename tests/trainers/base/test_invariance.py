"""What a run does not depend on: the scale of its input, and where the objective promises it, of its logits."""

from __future__ import annotations

import pytest
import torch

from hf_unlearn.trainers.safety.wrong_way import WrongWay
from tests.tiny import make_model
from tests.trainers.methods.test_mu_mis import make_trainer, weights

SCALE = 8.0  # a power of two: scaling by it rounds nothing


def scale_input(module, args, kwargs):
    return args, {**kwargs, "pixel_values": kwargs["pixel_values"] * SCALE}


def scale_logits(module, args, kwargs, output):
    output.logits = output.logits * SCALE
    return output


def final_weights(tmp_path, architecture, objective, data=1.0, **hooks):
    model = make_model(architecture)
    if "input" in hooks:
        model.register_forward_pre_hook(scale_input, with_kwargs=True)
    if "logits" in hooks:
        model.register_forward_hook(scale_logits, with_kwargs=True)
    trainer = make_trainer(tmp_path, model, objective=objective, max_steps=5)
    # An untrained model has nothing to forget: whether it goes the right way is not the question here.
    trainer.remove_callback(WrongWay)
    trainer.train_dataset.preload()
    trainer.train_dataset._pixels *= data
    trainer.train()
    return weights(trainer)


@pytest.mark.parametrize("objective", ["matched", "anchored", "difference", "log_ratio"])
def test_the_scale_of_the_input_does_not_matter(tmp_path, architecture, objective):
    # Pixels an eighth as large into a model that multiplies them by eight: the same function of the image.
    plain = final_weights(tmp_path, architecture, objective)
    scaled = final_weights(tmp_path, architecture, objective, data=1 / SCALE, input=True)
    torch.testing.assert_close(scaled, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objective", ["difference", "log_ratio"])
def test_the_scale_of_the_logits_does_not_matter_without_guards(tmp_path, architecture, objective):
    plain = final_weights(tmp_path, architecture, objective)
    scaled = final_weights(tmp_path, architecture, objective, logits=True)
    torch.testing.assert_close(scaled, plain, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(plain, weights(make_trainer(tmp_path, make_model(architecture))), rtol=1e-4, atol=1e-6)
