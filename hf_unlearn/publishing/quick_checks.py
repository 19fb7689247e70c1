"""A run's own figures: what can be said at once, from at most a thousand samples of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import Subset
from transformers import PreTrainedModel

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.metrics.accuracies import accuracy
from hf_unlearn.evaluation.predict import predict_logits

if TYPE_CHECKING:
    from hf_unlearn.data.pixels import PixelDataset

QUICK_SAMPLES = 1000


def quick_checks(
    original: PreTrainedModel, unlearned: PreTrainedModel, parts: dict[str, PixelDataset], batch_size: int
) -> dict[str, Any]:
    """Accuracies before and after, percent, by name of the part, over evenly spaced samples of it.

    Returns:
        For each part `{"before": ..., "after": ...}`, and under `samples` how many of each there were at most.
    """
    checks: dict[str, Any] = {"samples": QUICK_SAMPLES}
    for name, part in parts.items():
        rows = evenly_spaced(len(part), QUICK_SAMPLES).tolist()
        models = {"before": original, "after": unlearned}
        logits = predict_logits(models, Subset(part, rows), batch_size, unlearned.device, "Checking")
        labels = part.labels[rows].numpy()
        checks[name] = {when: accuracy(said, labels) for when, said in logits.items()}
    return checks
