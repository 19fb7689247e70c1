"""What a user can set about a method, apart from what `transformers.TrainingArguments` already has.

These dataclasses import nothing heavy, so that `hf-unlearn unlearn --help` can show them at once. The configs beside
them join each with `TrainingArguments`; a field that `TrainingArguments` has as well changes its default.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def setting(default: object, description: str, **metadata: object):  # type: ignore[no-untyped-def]
    """A dataclass field with its line of help."""
    return field(default=default, metadata={"help": description, **metadata})


@dataclass
class UnlearningParameters:
    """Common to all methods."""

    per_device_train_batch_size: int = setting(64, "Forget samples a step and process.")
    max_steps: int = setting(60, "At most this many steps; it overrides num_train_epochs.")
    learning_rate: float = setting(1e-3, "Length of a step, as a fraction of the weights' norm (step_rule relative).")
    lr_scheduler_type: str = setting("cosine", "How the length of the steps falls from first to last.")
    step_rule: str = setting(
        "relative",
        "relative: w <- w - lr * |w| * g / |g|, which cannot run away; optim: the optimizer named by --optim, "
        "with --learning_rate and --max_grad_norm as in any Trainer.",
        choices=["relative", "optim"],
    )
    target_forget_accuracy: float | None = setting(
        2.0,
        "Stop once the model classifies no more than this share (percent) of the latest forget samples as their "
        "class. Below 0: never for this reason.",
    )
    stop_window: int = setting(256, "How many of the latest forget samples that share is taken over.")


@dataclass
class MUMisParameters(UnlearningParameters):
    """MU-Mis (arXiv 2402.15109)."""

    objective: str = setting(
        "difference",
        "difference: |grad f_c|^2 - |grad f_c'|^2, as published; log_ratio: the difference of their logarithms.",
        choices=["difference", "log_ratio"],
    )
    alpha_target: float = setting(1.0, "Weight of the target term (paper, App. F.4).")
    alpha_irrelevant: float = setting(1.0, "Weight of the irrelevant term (paper, App. F.4).")


@dataclass
class ClassifierParameters:
    """Ordinary training, as `hf-unlearn train` does it."""

    per_device_train_batch_size: int = setting(128, "Samples a step and process.")
    per_device_eval_batch_size: int = setting(256, "Samples a step and process in evaluation.")
    num_train_epochs: float = setting(6.0, "Passes over the training set.")
    learning_rate: float = setting(2e-3, "Peak learning rate; 5e-5 unless given when a trained model is fine-tuned.")
    lr_scheduler_type: str = setting("cosine", "How the learning rate falls.")
    warmup_steps: float = setting(0.1, "Steps of linear warm-up; below 1: a share of all steps.")
    weight_decay: float = setting(0.05, "Decoupled weight decay (AdamW).")
    logging_steps: float = setting(50, "Log every so many steps.")
