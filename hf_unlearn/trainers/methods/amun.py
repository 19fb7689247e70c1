"""AMUN: the model learns its nearest mistakes around the forget samples, among all training samples."""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.base.settings import setting
from hf_unlearn.trainers.methods.amun_forget import AMUNForgetConfig, AMUNForgetTrainer, LearnsAdversarial


@dataclass
class AMUNConfig(AMUNForgetConfig):
    r"""Settings of AMUN (arXiv 2503.00917)."""

    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    own_labels: bool = setting(
        True, "Learn the forget samples themselves, with their own labels, as well, as in the authors' code."
    )


class AMUNTrainer(LearnsAdversarial):
    """Minimises CE on D ∪ D_A: all training samples and the forget samples' adversarial counterparts (arXiv
    2503.00917).

    Forget and retained samples are shuffled together. Without `args.own_labels` on D_R ∪ D_A. See
    [`LearnsAdversarial`].

    Arguments and errors as for [`UnlearningTrainer`]; needs `retain_dataset`.
    """

    title = "AMUN"
    method_name = "amun"
    paper = AMUNForgetTrainer.paper
    retain_free = False
    trains_on = "both"
    judged_by = "retained"

    config_class = AMUNConfig
    args: AMUNConfig

    @property
    def forward_equivalents_per_sample(self) -> float:
        share = self.num_forget_samples / (self.num_forget_samples + len(self.retain_dataset))
        return 3.0 * (1 + share) if self.args.own_labels else 3.0
