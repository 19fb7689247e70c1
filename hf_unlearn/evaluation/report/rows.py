"""The figures of a comparison: what each is called, in which unit, which way is good, and what its target is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

ARROWS = {"higher": "↑", "lower": "↓", "target": "→"}


class Row(NamedTuple):
    """One figure.

    Attributes:
        key: its name in results.json.
        title: its name for a reader.
        good: `higher`, `lower`, or `target`: near the target, whichever side.
        group: the heading it stands under.
        ideal: the target where it is a number known beforehand; None: the retrained model's value.
        digits: after the point.
        meaning: one sentence for a reader.
    """

    key: str
    title: str
    good: str
    group: str
    ideal: float | None
    digits: int
    meaning: str


SUMMARY = "Depth, % of the way from do nothing to retrained"
ACCURACY = "Accuracy, %"
DISTANCE = "Distance to the retrained model"
MEMBERSHIP = "Membership attacks, %"
RESIDUAL = "Residual contribution"
EFFORT = "Effort"
DEPTH = "Probes of the depth"

ROWS = (
    Row("depth", "depth", "higher", SUMMARY, 100.0, 1, "Mean over the probes that tell; what overshoots is off, too."),
    Row("forget_accuracy", "forget set (FA)", "target", ACCURACY, None, 2, "Samples to forget still recognised."),
    Row("unlearning_accuracy", "100 − FA (UA)", "target", ACCURACY, None, 2, "The same the other way round."),
    Row("retain_accuracy", "retain set (RA)", "higher", ACCURACY, None, 2, "Training samples that stay."),
    Row("test_accuracy", "test set (TA)", "target", ACCURACY, None, 2, "Unseen samples, forgotten classes among them."),
    Row("test_accuracy_remaining", "test set, remaining", "higher", ACCURACY, None, 2, "Without what was forgotten."),
    Row("test_accuracy_forgotten", "test set, forgotten", "target", ACCURACY, None, 2, "Only what was forgotten."),
    Row(
        "test_accuracy_siblings",
        "test set, siblings",
        "target",
        ACCURACY,
        None,
        2,
        "Of a forgotten part's label, and of another part.",
    ),
    Row("average_gap", "average gap (MU-Mis), points", "lower", DISTANCE, 0.0, 2, "Over FA, remaining and whole test."),
    Row("average_gap_salun", "average gap (SalUn), points", "lower", DISTANCE, 0.0, 2, "Over UA, RA, TA, confidence."),
    Row("tug_of_war", "tug of war (ToW), 0–1", "higher", DISTANCE, 1.0, 4, "Product of 1 − |Δ| of FA, RA, TA."),
    Row("js_divergence", "JS divergence, nats", "lower", DISTANCE, 0.0, 4, "On the forget set; at most 0.693."),
    Row("kl_divergence", "KL divergence, nats", "lower", DISTANCE, 0.0, 4, "On the forget set, from the retrained."),
    Row("activation_distance", "activation distance", "lower", DISTANCE, 0.0, 4, "Between answers on the forget set."),
    Row("completeness", "completeness, %", "higher", DISTANCE, 100.0, 2, "Forget samples with the same answer."),
    Row("zrf", "zero-retrain forgetting, 0–1", "target", DISTANCE, None, 4, "1: as a model of random weights."),
    Row("modified_entropy", "modified entropy, nats", "target", DISTANCE, None, 3, "Mean on the forget set."),
    Row("mia_entropy", "entropy, called members", "target", MEMBERSHIP, None, 2, "As in SSD."),
    Row("mia_confidence", "confidence, called non-members", "target", MEMBERSHIP, None, 2, "As in SalUn."),
    Row("mia_loss", "loss, forget against test", "target", MEMBERSHIP, 50.0, 2, "50 is chance: they look unseen."),
    Row("rmia_auc", "RMIA AUC, forget against test", "target", MEMBERSHIP, 50.0, 2, "50 is chance."),
    Row("rmia_tpr_1", "RMIA TPR at 1 % FPR", "target", MEMBERSHIP, 1.0, 2, "1 is chance."),
    Row("rmia_tpr_01", "RMIA TPR at 0.1 % FPR", "target", MEMBERSHIP, 0.1, 2, "0.1 is chance."),
    Row(
        "rmia_auc_retain",
        "RMIA AUC, retain against forget",
        "target",
        MEMBERSHIP,
        None,
        2,
        "Reference models saw the retain set.",
    ),
    Row("target_sensitivity", "target sensitivity", "target", RESIDUAL, None, 3, "Mean ‖∇ₓ f_c‖² on the forget set."),
    Row("target_ratio", "… as a ratio", "target", RESIDUAL, 1.0, 2, "To the retrained model's."),
    Row("irrelevant_sensitivity", "irrelevant sensitivity", "target", RESIDUAL, None, 3, "Of the other classes."),
    Row("irrelevant_ratio", "… as a ratio", "target", RESIDUAL, 1.0, 2, "To the retrained model's."),
    Row("linear_probe", "linear probe, recall %", "target", DEPTH, None, 1, "Of features, at 1 % false positives."),
    Row("mlp_probe", "two-layer probe, recall %", "target", DEPTH, None, 1, "Of features, at 1 % false positives."),
    Row("forget_cosine", "cosine of forget features", "target", DEPTH, None, 3, "Of two forget samples of a class."),
    Row("prototype_recall", "5-shot prototype, recall %", "target", DEPTH, None, 1, "At 1 % false positives."),
    Row("shifted_recall_1", "shifted logit, recall %", "target", DEPTH, None, 1, "At 1 % false positives."),
    Row("shifted_recall_5", "… at 5 %", "target", DEPTH, None, 1, "False positives. It does not count in the depth."),
    Row("relearn_mixed_steps", "steps beside retained", "target", DEPTH, None, 1, "Half of each batch is retained."),
    Row("relearn_five_steps", "steps from 5 samples", "target", DEPTH, None, 1, "Beside as many retained ones."),
    Row(
        "remembered_accuracy", "remembered by itself, %", "target", DEPTH, None, 1, "FA in 50 steps on retained alone."
    ),
    Row("jitter_gap", "jitter gap, points", "target", DEPTH, None, 2, "Lost if moved a little, beyond unseen samples."),
    Row(
        "weight_distance",
        "distance in weights",
        "target",
        DEPTH,
        None,
        4,
        "From the original, of its norm. Not counted.",
    ),
    Row("line_barrier", "fall between the two, points", "target", DEPTH, None, 2, "Of RA, on the straight line."),
    Row("relearn_steps", "steps to relearn", "target", EFFORT, None, 1, "Until 90 % of the original's FA."),
    Row("relearn_ratio", "… as a ratio", "target", EFFORT, 1.0, 2, "To the retrained model's; below 1: it remembers."),
    Row("seconds", "seconds", "lower", EFFORT, None, 1, "Of unlearning, and of retraining, as each run recorded it."),
    Row("runtime_ratio", "… as a ratio (RTE)", "lower", EFFORT, None, 4, "To retraining's."),
)


def target_of(row: Row, models: Mapping[str, Mapping[str, Any]]) -> float | None:
    """What a row's figure should be: the ideal, else the retrained model's value, else None: nobody knows."""
    if row.ideal is not None:
        return row.ideal
    if row.good == "target" or row.key.startswith(("retain", "test")):
        return models.get("retrained", {}).get(row.key)
    return None


def cell(value: float | None, digits: int, std: float | None = None) -> str:
    """A figure as text, with its standard deviation where there is one; a dash where there is no figure."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return text if std is None else f"{text} ± {std:.{digits}f}"
