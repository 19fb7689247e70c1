"""JiT: a local Lipschitz constant, estimated with noise (arXiv 2402.01401)."""

from __future__ import annotations

import torch

from hf_unlearn.objectives.draws import PassDraws


def lipschitz_ratio(logits: torch.Tensor, noisy_logits: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Mean over noise draws of ‖f(x) − f(x + ξ)‖₂ / ‖ξ‖₂, a sample.

    Args:
        logits: f(x), `(batch, num_labels)`.
        noisy_logits: f(x + ξ), `(draws, batch, num_labels)`; as in the authors' code no gradient goes to them.
        noise: ξ, `(draws, batch, ...)`, not zero.

    Returns:
        `(batch,)`, in logits per unit of the input.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    apart = torch.linalg.vector_norm(logits.to(wide) - noisy_logits.detach().to(wide), dim=-1)
    return (apart / torch.linalg.vector_norm(noise.flatten(2).to(wide), dim=-1)).mean(0)


class SampleNoise:
    """Gaussian noise tied to the sample and the pass over the forget set (see [`PassDraws`]).

    Args:
        num_samples: size of the forget set.
        seed: of all passes.
        deviation: standard deviation σ, in units of the input.
        count: draws a sample.
    """

    def __init__(self, num_samples: int, seed: int, deviation: float, count: int):
        self.deviation = deviation
        self.count = count
        # The noise of a whole pass would be many times the forget set: what is drawn at once is its seeds.
        self._seeds = PassDraws(lambda g: torch.randint(2**62, (num_samples,), generator=g), seed, 4)

    def of(self, pixel_values: torch.Tensor, indices: torch.Tensor, pass_number: int) -> torch.Tensor:
        """ξ for the samples at `indices` (positions in the forget set): `(count, *pixel_values.shape)`."""
        shape = (self.count, *pixel_values.shape[1:])
        drawn = [
            torch.randn(shape, generator=torch.Generator().manual_seed(int(seed)))
            for seed in self._seeds.of(indices, pass_number)
        ]
        return self.deviation * torch.stack(drawn, 1).to(pixel_values.device, pixel_values.dtype)
