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

    push_anyway: bool = setting(
        False, "Publish a model although its own figures say that the request was not met, or while it still remembers."
    )
    per_device_train_batch_size: int = setting(32, "Forget samples a step and process.")
    max_steps: int = setting(180, "At most this many steps, all rounds together; it overrides num_train_epochs.")
    num_rounds: int = setting(
        0, "Rounds that the steps are parted into; in each their length falls to nothing. 0: one for every 60 steps."
    )
    learning_rate: float = setting(2e-3, "Length of a step, as a fraction of the weights' norm (step_rule relative).")
    lr_scheduler_type: str = setting("cosine_with_restarts", "How the length of the steps falls, in each round.")
    head_scale: float = setting(
        3.0, "Weight of the classifier head's gradient against the rest of the model's (step_rule relative)."
    )
    step_rule: str = setting(
        "relative",
        "relative: w <- w - lr * |w| * g / |g|, which cannot run away; optim: the optimizer named by --optim, "
        "with --learning_rate and --max_grad_norm as in any Trainer.",
        choices=["relative", "optim"],
    )
    stop_rule: str = setting(
        "round",
        "When to stop before max_steps. round: at the end of a round, once target_forget_accuracy is met; steps: not; "
        "forget_accuracy: at target_forget_accuracy; loss_drop: once the "
        "loss fell by stop_delta (paper, v1); irrelevant_recovery: once the irrelevant sensitivity, after a dip, is "
        "back above stop_delta times its start (paper, v4); plateau: once the confidence in the forgotten labels "
        "stopped falling; unseen: once the forget set looks like the unseen data that the trainer was given.",
        choices=["round", "steps", "forget_accuracy", "loss_drop", "irrelevant_recovery", "plateau", "unseen"],
    )
    target_forget_accuracy: float = setting(1.0, "Percent, for stop_rule round and forget_accuracy.")
    stop_delta: float = setting(1.0, "For stop_rule loss_drop and irrelevant_recovery.")
    stop_window: int = setting(256, "Stop rules look at a mean over this many of the latest forget samples.")


@dataclass
class MUMisParameters(UnlearningParameters):
    """MU-Mis (arXiv 2402.15109)."""

    objective: str = setting(
        "matched",
        "matched: bring the target's sensitivity to the level of irrelevant ones, with guards that keep the rest of "
        "the model; anchored: lower the logarithm of their ratio, with the guards; difference: |grad f_c|^2 - "
        "|grad f_c'|^2, as published; log_ratio: the logarithm of the ratio alone.",
        choices=["matched", "anchored", "difference", "log_ratio"],
    )
    alpha_target: float = setting(1.0, "Weight of the target term (paper, App. F.4).")
    alpha_irrelevant: float = setting(1.0, "Weight of the irrelevant term (paper, App. F.4).")
    num_irrelevant_classes: int = setting(1, "Irrelevant classes a sample, drawn anew in each pass; 0: all others.")
    irrelevant_cap: float | None = setting(
        None, "Raise no irrelevant sensitivity above this many times its mean before the first step."
    )
    label_shift: float | None = setting(
        None,
        "By how many nats the guard's target lowers a forget sample's own logit below the original's (default: by the "
        "kind of request; without one infinite, as for whole classes).",
    )
    sensitivity_weight: float | None = setting(None, "Weight of the sensitivity term (default: the objective's).")
    guard_weight: float | None = setting(
        None, "Weight of the divergence from the original over the other classes (default: the objective's)."
    )
    surroundings_weight: float | None = setting(
        None, "Weight of the same on inputs near the forget samples (default: the objective's)."
    )


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
