"""JiT: just-in-time unlearning by Lipschitz regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_unlearn.objectives import SampleNoise, lipschitz_ratio
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.paper import cite
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.base.trainer import UnlearningTrainer


@dataclass
class JiTConfig(PassesConfig):
    r"""Settings of JiT, Lipschitz regularisation (arXiv 2402.01401).

    Raises:
        UnlearningError: a value outside its range.
    """

    num_train_epochs: float = setting(1.0, "Passes over the forget set; the paper makes one.")
    learning_rate: float = setting(
        3e-3, "Of the optimizer named by --optim; the authors' 3e-4 is for a loss summed over the batch, not averaged."
    )
    optim: str = setting("sgd", "The optimizer; the paper's is plain gradient descent.")
    noise_deviation: float = setting(0.5, "Standard deviation of the noise, in units of pixel_values.")
    noise_draws: int = setting(25, "Noise draws a sample and step.")

    def check(self) -> None:
        super().check()
        self.expect("noise_deviation", self.noise_deviation > 0, "a standard deviation above 0")
        self.expect("noise_draws", self.noise_draws >= 1, "at least 1 draw")


class JiTTrainer(UnlearningTrainer):
    """Minimises 1/N Σ_j ‖f(x) − f(x + ξ_j)‖₂ / ‖ξ_j‖₂ on forget samples, ξ_j ~ N(0, σ² I): arXiv 2402.01401.

    N is `args.noise_draws`, σ `args.noise_deviation`. The noise is drawn anew in each pass, by `args.seed`, and not
    clipped to the range of images. As in the authors' code f(x + ξ) is a constant to the gradient.

    Arguments and errors as for [`UnlearningTrainer`].
    """

    title = "JiT"
    method_name = "jit"
    paper = cite(
        "foster2024zeroshot", "Zero-Shot Machine Unlearning at Scale via Lipschitz Regularization", "2402.01401"
    )

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
        drawn = SampleNoise(self.num_forget_samples, self.args.seed, self.args.noise_deviation, self.args.noise_draws)
        noise = drawn.of(pixel_values, inputs["index"], self.pass_number)
        with torch.no_grad():
            noisy = torch.stack([self.model(pixel_values=pixel_values + one)["logits"] for one in noise])
        return lipschitz_ratio(outputs["logits"], noisy, noise), outputs, {}
