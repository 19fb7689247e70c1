"""What is followed of a step: sums over its samples, forget and retained ones apart."""

from __future__ import annotations

import torch


def batch_sums(
    labels: torch.Tensor,
    counted: torch.Tensor,
    kept: torch.Tensor,
    losses: torch.Tensor,
    logits: torch.Tensor,
    figures: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Sums over a batch, scalars by name; every name is there, whatever the batch holds.

    Args:
        labels: `(batch,)`.
        counted: which samples count, boolean `(batch,)`.
        kept: which are retained ones, boolean `(batch,)`.
        losses: `(batch,)`.
        logits: `(batch, num_labels)`.
        figures: the method's own, each `(batch,)`, by name.

    Returns:
        Over forget samples `samples` (their number), `correct`, `confidence` in the label, `loss`, and the figures;
        over retained ones `retain_samples`, `retain_correct`, `retain_loss`.
    """
    correct = logits.detach().argmax(-1) == labels
    confidence = logits.detach().float().softmax(-1).gather(1, labels.unsqueeze(1)).squeeze(1)
    parts = {
        "": (counted & ~kept, {"correct": correct, "confidence": confidence, "loss": losses, **figures}),
        "retain_": (counted & kept, {"correct": correct, "loss": losses}),
    }
    sums = {}
    for prefix, (chosen, quantities) in parts.items():
        for name, values in {"samples": chosen, **quantities}.items():
            wide = torch.float64 if values.device.type != "mps" else torch.float32
            sums[prefix + name] = values[chosen].detach().to(wide).sum()
    return sums


def logged_means(sums: dict[str, float]) -> dict[str, float]:
    """What a log says of a step: accuracies in percent, and the means of the method's figures over forget samples."""
    logged = {}
    if samples := sums["samples"]:
        logged["forget_accuracy"] = 100 * sums["correct"] / samples
        told = ("samples", "correct", "loss", "retain_samples", "retain_correct", "retain_loss")
        logged |= {name: value / samples for name, value in sums.items() if name not in told}
    if retained := sums["retain_samples"]:
        logged["retain_accuracy"] = 100 * sums["retain_correct"] / retained
    return logged
