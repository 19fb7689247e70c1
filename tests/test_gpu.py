"""On a GPU, where there is one: the same run as on the CPU, in TF32 and bfloat16, too."""

from __future__ import annotations

import pytest
import torch

from tests.tiny import make_model
from tests.trainers.methods.test_mu_mis import make_trainer, weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
RUN = {"max_steps": 6, "num_rounds": 1, "stop_rule": "steps", "learning_rate": 5e-3}


def moved(tmp_path, model, **settings):
    trainer = make_trainer(tmp_path, model, **RUN, **settings)
    before = weights(trainer).cpu()
    trainer.train()
    return weights(trainer).cpu() - before, trainer


@pytest.mark.parametrize("objective", ["matched", "difference"])
def test_a_gpu_makes_the_run_of_a_cpu(tmp_path, architecture, objective):
    ours, trainer = moved(tmp_path / "gpu", make_model(architecture), use_cpu=False, tf32=False, objective=objective)
    theirs, _ = moved(tmp_path / "cpu", make_model(architecture), objective=objective)
    assert trainer.model.device.type == "cuda"
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("settings", [{"tf32": True}, {"bf16": True, "tf32": False}])
def test_lower_precision_leads_the_same_way(tmp_path, architecture, settings):
    low, _ = moved(tmp_path / "low", make_model(architecture), use_cpu=False, **settings)
    full, _ = moved(tmp_path / "full", make_model(architecture), use_cpu=False, tf32=False)
    assert torch.nn.functional.cosine_similarity(low, full, dim=0) > 0.99
