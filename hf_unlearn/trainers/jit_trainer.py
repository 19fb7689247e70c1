"""JiT: just-in-time unlearning by Lipschitz regularisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import SampleNoise, lipschitz_ratio
from hf_unlearn.trainers import papers
from hf_unlearn.trainers.jit_config import JiTConfig
from hf_unlearn.trainers.unlearning_trainer import UnlearningTrainer


class JiTTrainer(UnlearningTrainer):
    """Minimises 1/N Σ_j ‖f(x) − f(x + ξ_j)‖₂ / ‖ξ_j‖₂ on forget samples, ξ_j ~ N(0, σ² I): arXiv 2402.01401.

    N is `args.noise_draws`, σ `args.noise_deviation`. The noise is drawn anew in each pass, by `args.seed`, and not
    clipped to the range of images. As in the authors' code f(x + ξ) is a constant to the gradient.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    _tag_names = ["machine-unlearning", "unlearning", "jit", "hf_unlearn"]
    _name = "JiT"
    _method = "jit"
    _paper = papers.JIT

    config_class = JiTConfig
    args: JiTConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        return 3.0 + self.args.noise_draws

    def unlearning_loss(
        self, model: nn.Module, inputs: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
        pixel_values = inputs["pixel_values"]
        outputs = model(pixel_values=pixel_values)
        drawn = SampleNoise(self._num_samples, self.args.seed, self.args.noise_deviation, self.args.noise_draws)
        noise = drawn.of(pixel_values, inputs["index"], self._pass_number)
        with torch.no_grad():
            noisy = torch.stack([self.model(pixel_values=pixel_values + one)["logits"] for one in noise])
        return lipschitz_ratio(outputs["logits"], noisy, noise), outputs, {}
