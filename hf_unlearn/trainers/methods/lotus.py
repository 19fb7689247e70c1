"""LoTUS: smoothed answers on forget samples, the original's own on a share of the retained ones."""

from __future__ import annotations

from dataclasses import dataclass

from torch.utils.data import Dataset

from hf_unlearn.trainers.base.sampling import part_of_retained
from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.lotus_forget import LoTUSForgetConfig, LoTUSForgetTrainer, SmoothsAnswers


@dataclass
class LoTUSConfig(LoTUSForgetConfig):
    r"""Settings of LoTUS (arXiv 2503.18314).

    Raises:
        UnlearningError: a value outside its range.
    """

    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    retain_fraction: float = setting(0.3, "Share of the retain set that is used, drawn by the seed.")

    def check(self) -> None:
        super().check()
        self.expect("retain_fraction", 0 < self.retain_fraction <= 1, "a share above 0, at most 1")


class LoTUSTrainer(SmoothsAnswers):
    """Minimises −Σ t log p: t smoothed on forget samples, the original's sharpened on retained ones (arXiv 2503.18314).

    Of retained samples t is the limit τ → 0, the one-hot of argmax(z_o + g). They and the forget samples are shuffled
    together. See [`SmoothsAnswers`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`, and `reference_dataset` or
    `args.unseen_accuracy` where labels stay in use.
    """

    title = "LoTUS"
    method_name = "lotus"
    paper = LoTUSForgetTrainer.paper
    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    config_class = LoTUSConfig
    args: LoTUSConfig

    def training_set(self) -> Dataset:
        return part_of_retained(self.train_dataset, self.retain_dataset, self.args.retain_fraction, self.args.seed)
