"""What a user can set about the methods other than MU-Mis. Imports nothing heavy, as `parameters.py`.

Defaults are those of the papers or of their authors' code where these give one for classifiers of this kind, with AdamW
in the place of SGD with momentum, which does not serve transformers. The papers tune them for each task.
"""

from __future__ import annotations

from dataclasses import dataclass

from hf_unlearn.trainers.parameters import UnlearningParameters, setting


@dataclass
class PassesParameters(UnlearningParameters):
    """Common to methods that make passes over their samples with an ordinary optimizer."""

    max_steps: int = setting(-1, "This many steps instead of num_train_epochs; -1: num_train_epochs says it.")
    num_train_epochs: float = setting(5.0, "Passes over the samples that the method trains on.")
    learning_rate: float = setting(1e-4, "Of the optimizer named by --optim (step_rule optim).")
    lr_scheduler_type: str = setting("constant", "How the learning rate falls.")
    step_rule: str = setting(
        "optim",
        "optim: the optimizer named by --optim; relative: w <- w - lr * |w| * g / |g|, with lr a fraction.",
        choices=["relative", "optim"],
    )
    stop_rule: str = setting(
        "steps",
        "When to stop early. steps: not; forget_accuracy: at target_forget_accuracy; loss_drop: once the loss fell by "
        "stop_delta; plateau: once the confidence in the forgotten labels stopped falling; unseen: once the forget "
        "set looks like the unseen data that the trainer was given; round: see MU-Mis (needs max_steps).",
        choices=["round", "steps", "forget_accuracy", "loss_drop", "irrelevant_recovery", "plateau", "unseen"],
    )


@dataclass
class GradientAscentParameters(PassesParameters):
    """Gradient ascent, NegGrad (arXiv 1911.04933)."""

    num_train_epochs: float = setting(3.0, "Passes over the forget set.")
    learning_rate: float = setting(1e-5, "Of the optimizer named by --optim (step_rule optim).")


@dataclass
class RandomLabelsParameters(PassesParameters):
    """Random labels (Amnesiac unlearning, arXiv 2010.10981)."""


@dataclass
class DeleteParameters(PassesParameters):
    """DELETE, masked distillation (arXiv 2503.23751)."""


@dataclass
class JiTParameters(PassesParameters):
    """JiT, Lipschitz regularisation (arXiv 2402.01401)."""

    num_train_epochs: float = setting(1.0, "Passes over the forget set; the paper makes one.")
    learning_rate: float = setting(
        3e-3, "Of the optimizer named by --optim; the authors' 3e-4 is for a loss summed over the batch, not averaged."
    )
    optim: str = setting("sgd", "The optimizer; the paper's is plain gradient descent.")
    noise_deviation: float = setting(0.5, "Standard deviation of the noise, in units of pixel_values.")
    noise_draws: int = setting(25, "Noise draws a sample and step.")


@dataclass
class BoundaryShrinkParameters(PassesParameters):
    """Boundary shrink (Boundary Unlearning, arXiv 2303.11570)."""

    num_train_epochs: float = setting(10.0, "Passes over the forget set.")
    learning_rate: float = setting(1e-5, "Of the optimizer named by --optim (step_rule optim).")
    fgsm_bound: float = setting(
        0.2, "Length of the step across the boundary, in units of pixel_values (0.1 of [0, 1] at a deviation of 0.5)."
    )


@dataclass
class SaliencyParameters(PassesParameters):
    """What SalUn takes from the forget set."""

    salient_share: float = setting(0.5, "Share of the weights that may move: those with the largest gradients.")


@dataclass
class SalUnForgetParameters(SaliencyParameters):
    """SalUn on the forget set alone (arXiv 2310.12508)."""


@dataclass
class SalUnParameters(SaliencyParameters):
    """SalUn (arXiv 2310.12508)."""

    num_train_epochs: float = setting(5.0, "Passes over the forget and the retain set together.")
    per_device_train_batch_size: int = setting(128, "Samples a step and process.")


@dataclass
class FineTuneParameters(PassesParameters):
    """Fine-tuning on the retain set."""

    num_train_epochs: float = setting(5.0, "Passes over the retain set.")
    learning_rate: float = setting(1e-3, "Of the optimizer named by --optim (step_rule optim).")
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls.")
    per_device_train_batch_size: int = setting(128, "Retained samples a step and process.")
    train_mode: bool = setting(
        False, "Run the model in train mode: BatchNorm follows the batches, and dropout is on. Off: both are frozen."
    )


@dataclass
class L1SparseParameters(FineTuneParameters):
    """l1-sparse fine-tuning (arXiv 2304.04934)."""

    l1_weight: float = setting(1e-4, "Weight of the sum of absolute weights at the start; it falls to 0 linearly.")


@dataclass
class NegGradPlusParameters(PassesParameters):
    """NegGrad+ (as in arXiv 2302.09880)."""

    num_train_epochs: float = setting(1.0, "Passes over the retain set, each sample paired with a forget sample.")
    per_device_train_batch_size: int = setting(128, "Samples a step and process, half of them forget samples: even.")
    retain_share: float = setting(
        0.99,
        "Weight of the descent on retained samples; the unbounded ascent on forget samples has the rest.",
    )


@dataclass
class ScrubParameters(PassesParameters):
    """SCRUB (arXiv 2302.09880)."""

    num_train_epochs: float = setting(5.0, "Passes over the retain set (minimisation).")
    max_passes: int = setting(3, "How many of them come after a pass over the forget set (maximisation).")
    learning_rate: float = setting(5e-4, "Of the optimizer named by --optim (step_rule optim).")
    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    distillation_weight: float = setting(0.001, "Alpha: weight of the divergence from the original, retained samples.")
    label_weight: float = setting(0.99, "Gamma: weight of the cross-entropy on retained samples.")
    temperature: float = setting(4.0, "Of the divergences; they are multiplied by its square.")


@dataclass
class BadTeacherParameters(PassesParameters):
    """Bad Teacher (arXiv 2205.08096)."""

    num_train_epochs: float = setting(1.0, "Passes over the forget set and the retained samples in use.")
    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    retain_fraction: float = setting(0.3, "Share of the retain set that is used, drawn by the seed.")
    temperature: float = setting(1.0, "Of the divergences from the teachers.")


@dataclass
class SSDParameters(UnlearningParameters):
    """SSD, selective synaptic dampening (arXiv 2308.07707)."""

    max_steps: int = setting(1, "One: all weights are dampened at once.")
    stop_rule: str = setting("steps", "Not used.", choices=["steps"])
    alpha: float = setting(
        5.0,
        "Weights that matter this many times more to the forget set than to all are dampened (the paper: 10, for 1 % "
        "of the data). With a forget set of a share s of the data hardly any matters more than 1/s times.",
    )
    dampening: float = setting(1.0, "Lambda: a dampened weight is multiplied by this times the ratio, at most 1.")
    importance_batch_size: int = setting(
        32, "Samples whose mean gradient is squared, as in the authors' code. 1: the Fisher information's diagonal."
    )


@dataclass
class RetrainParameters(FineTuneParameters):
    """Retraining from fresh weights on the retain set."""

    num_train_epochs: float = setting(6.0, "Passes over the retain set.")
    learning_rate: float = setting(2e-3, "Peak learning rate.")
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls.")
    warmup_steps: float = setting(0.1, "Steps of linear warm-up; below 1: a share of all steps.")
    weight_decay: float = setting(0.05, "Decoupled weight decay (AdamW).")
    per_device_train_batch_size: int = setting(128, "Retained samples a step and process.")
    train_mode: bool = setting(True, "Run the model in train mode, as any training: BatchNorm and dropout are on.")
