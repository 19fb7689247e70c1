"""What a comparison's probes come to: each as a share of the way to the retrained models, and one number for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hf_unlearn.evaluation.depth.share import Depth, depth_of, mean_depth

# Of classes that vanish, and of samples whose label stays: the probes that count, each with the least difference
# between original and retrained model that it can tell. Steps are counted, the others are percent or cosines.
CLASS_PROBES = {
    "linear_probe": 2.0,
    "mlp_probe": 2.0,
    "forget_cosine": 0.02,
    "prototype_recall": 2.0,
    "shifted_recall_1": 2.0,
    "relearn_mixed_steps": 1.0,
    "relearn_five_steps": 1.0,
    "remembered_accuracy": 2.0,
}
SUBSET_PROBES = {"mia_loss": 1.0, "rmia_auc": 1.0, "jitter_gap": 1.0}
# All that is the original's to whoever takes the mask off.
BEHIND_THE_MASK = (*CLASS_PROBES, "shifted_recall_5", "weight_distance", "line_barrier")

# Those of a class that say how much of it is found, percent.
FOUND = ("linear_probe", "mlp_probe", "prototype_recall", "shifted_recall_1", "remembered_accuracy")

Figures = Mapping[str, float | None]


def found_inside(figures: Mapping[str, Figures], judged: Sequence[str]) -> dict[str, Any]:
    """How much of what is to be forgotten the probes find in each model: what there is to see without a retrained one.

    Args:
        figures: by role.
        judged: roles.

    Returns:
        `probes`, and by role the `values`, percent, None where a probe was not taken; empty where none was.
    """
    probes = [key for key in FOUND if any(figures[role].get(key) is not None for role in judged)]
    values = {role: [_rounded(figures[role].get(key)) for key in probes] for role in judged}
    return {"probes": probes, "values": values} if probes else {}


def depths_of(
    original: Figures, model: Figures, references: Sequence[Figures], whole_classes: bool
) -> dict[str, Depth | None]:
    """The depth by each probe that counts and that all models have; None where it tells nothing.

    Args:
        original, model: figures by name.
        references: of the retrained models.
        whole_classes: whether classes vanish, or labels stay.
    """
    found = {}
    for key, least in (CLASS_PROBES if whole_classes else SUBSET_PROBES).items():
        values = [figures.get(key) for figures in (original, model, *references)]
        known = [value for value in values if value is not None]
        if references and len(known) == len(values):
            found[key] = depth_of(known[0], known[1], known[2:], least)
    return found


def add_depth(
    figures: Mapping[str, dict[str, float | None]],
    judged: Sequence[str],
    whole_classes: bool,
    left_out: dict[str, str],
) -> tuple[dict[str, Any], float | None]:
    """Put the mean depth of each judged model into its figures.

    Args:
        figures: by role; those that are not judged are of retrained models.
        judged: roles.
        left_out: why there is none goes in here.

    Returns:
        What the plot is drawn from: `probes`, their `floors`, and by role the `shares` of the way, percent, None where
        a probe tells nothing; empty where none tells anything. And the floor of the mean: how far retrained models are
        apart, percent of the way.
    """
    references = [figures[role] for role in figures if role not in judged]
    if "original" not in judged or not references:
        left_out["depth"] = "it is the share of the way from the original to a retrained model, and takes both"
        return {}, None
    by_role = {role: depths_of(figures["original"], figures[role], references, whole_classes) for role in judged}
    telling = by_role["original"]
    for key, one in telling.items():
        if one is None:
            left_out[f"depth by {key}"] = "it does not tell the original from a retrained model"
    mean = mean_depth(telling)
    if mean is None:
        left_out["depth"] = "no probe tells the original from a retrained model"
        return {}, None
    for role in judged:
        whole = mean_depth(by_role[role])
        figures[role]["depth"] = None if whole is None else whole.share
    curve = {
        "probes": list(telling),
        "floors": [None if one is None else _rounded(one.floor) for one in telling.values()],
        "shares": {
            role: [_rounded(one.share) if (one := depths.get(key)) is not None else None for key in telling]
            for role, depths in by_role.items()
            if role != "original"
        },
    }
    return curve, mean.floor


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
