"""SalUn's mask on a trainer: the weights outside it stay as they are, to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from hf_unlearn.objectives import RandomLabels, saliency_mask
from hf_unlearn.trainers.base.config import PassesConfig
from hf_unlearn.trainers.base.gradients import mean_gradient
from hf_unlearn.trainers.base.settings import setting

if TYPE_CHECKING:
    from hf_unlearn.trainers.base.trainer import UnlearningTrainer

    _Base = UnlearningTrainer
else:
    _Base = object


@dataclass
class SaliencyConfig(PassesConfig):
    r"""What SalUn takes from the forget set.

    Raises:
        UnlearningError: a value outside its range.
    """

    salient_share: float = setting(0.5, "Share of the weights that may move: those with the largest gradients.")

    def check(self) -> None:
        super().check()
        self.expect("salient_share", 0 < self.salient_share <= 1, "a share above 0, at most 1")


class MovesSalientWeights(_Base):
    """Mixed into an `UnlearningTrainer`: θ_u = m ⊙ (Δθ + θ_o) + (1 − m) ⊙ θ_o (SalUn, arXiv 2310.12508).

    m is taken from the original's gradient on the forget set: see [`saliency_mask`]. `self.mask` holds it by name of
    the parameter, once the run began.
    """

    mask: dict[str, torch.Tensor]

    def unlearning_run(self, *args: Any, **kwargs: Any) -> Any:
        gradients = mean_gradient(self.original_model, self.train_dataset, self.data_collator)  # type: ignore[arg-type]
        self.forward_equivalents += 3.0 * self.num_forget_samples
        # The share is one of the weights that may move at all: with an adapter these are few.
        moving = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        gradients = {name: gradient for name, gradient in gradients.items() if name in moving}
        self.mask = saliency_mask(gradients, self.args.salient_share)  # type: ignore[attr-defined]
        # The gradient outside the mask is nothing: neither momentum nor a norm shall hold it.
        handles = [
            parameter.register_hook(partial(torch.mul, self.mask[name]))
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        ]
        restore = _Restore(self)
        self.add_callback(restore)
        try:
            return super().unlearning_run(*args, **kwargs)
        finally:
            self.remove_callback(restore)
            for handle in handles:
                handle.remove()

    def _restore(self) -> None:
        original = dict(self.original_model.named_parameters())
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in self.mask:
                    parameter.copy_(torch.where(self.mask[name], parameter, original[name]))

    def wrong_labels(self, inputs: dict[str, torch.Tensor], num_labels: int) -> torch.Tensor:
        """Random labels of forget samples; retained ones keep theirs. `(batch,)`."""
        drawn = RandomLabels(self.num_forget_samples, num_labels, self.args.seed)
        kept = self.is_retained(inputs)
        index = torch.where(kept, 0, inputs["index"])
        return torch.where(kept, inputs["labels"], drawn.of(inputs["labels"], index))


class _Restore(TrainerCallback):
    # Weight decay moves weights that have no gradient, too.
    def __init__(self, trainer: MovesSalientWeights):
        self.trainer = trainer

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._restore()
