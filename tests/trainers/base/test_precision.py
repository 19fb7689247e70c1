"""Half precision: bfloat16 leads where float32 leads."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import make_model
from tests.trainers.methods.test_mu_mis import make_trainer, weights

RUN = {"max_steps": 8, "num_rounds": 1, "stop_rule": "steps", "learning_rate": 5e-3}


def run(tmp_path, model, **settings):
    """By how much each weight moved, and the losses on the way."""
    trainer = make_trainer(tmp_path, model, **RUN, **settings)
    before = weights(trainer)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return weights(trainer) - before, losses, trainer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bfloat16_leads_where_float32_leads(tmp_path, architecture, dtype):
    whole, losses, _ = run(tmp_path / "whole", make_model(architecture))
    # float32 weights under autocast, or weights that are bfloat16 themselves.
    autocast = dtype == torch.float32
    half, half_losses, trainer = run(tmp_path / "half", make_model(architecture).to(dtype), bf16=autocast)
    assert trainer.accelerator.mixed_precision == ("bf16" if autocast else "no") and trainer.model.dtype == dtype
    assert torch.nn.functional.cosine_similarity(whole, half, dim=0) > (0.98 if autocast else 0.95)
    assert half_losses == pytest.approx(losses, rel=0.04) and half_losses != losses
