"""Whether a model knows the samples that it is to forget by the labels that they have here."""

from __future__ import annotations

from transformers import PreTrainedModel

from hf_unlearn.trainers.safety.samples import Sample, sample_accuracy

# Percent. Above it a model of many classes answers by more than chance.
LEAST_ACCURACY = 5.0


def find_mismatch(original: PreTrainedModel, sample: Sample) -> str | None:
    """What to say of an original that answers forget samples hardly better than by chance; None of others."""
    return label_mismatch(100 * sample_accuracy(original, sample), int(original.config.num_labels or 2))


def label_mismatch(accuracy: float, num_labels: int) -> str | None:
    """As [`find_mismatch`], of an accuracy. Either labels do not mean the same here and there, or nothing was learned.

    Args:
        accuracy: of the original model on the forget set, before unlearning, percent.
        num_labels: how many labels the model has.
    """
    if accuracy > max(LEAST_ACCURACY, 1.2 * 100 / num_labels):
        return None
    return (
        f"before unlearning the model gives {accuracy:.1f} % of the forget samples their label, about as many as by "
        "chance: its labels and the dataset's are probably mismatched (see label_mapping), or it never knew them"
    )
