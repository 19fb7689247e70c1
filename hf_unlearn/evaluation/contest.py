"""The comparison of original, unlearned and retrained models on the splits of one request."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.attacks.probing import Probed, probe
from hf_unlearn.evaluation.cache import shared_folder
from hf_unlearn.evaluation.controls import HEAD_ONLY, MASKED, masked_original
from hf_unlearn.evaluation.depth.panel import take_depth
from hf_unlearn.evaluation.depth.summary import BEHIND_THE_MASK, add_depth, found_inside
from hf_unlearn.evaluation.limits import WHOLE_CLASS_ACCURACY, check_settings
from hf_unlearn.evaluation.logits import LogitStore, further_labels
from hf_unlearn.evaluation.metrics.accuracies import (
    SALUN_GAP_FIGURES,
    average_gap,
    percent,
    runtime_ratio,
    siblings,
    tug_of_war,
    unlearning_accuracy,
)
from hf_unlearn.evaluation.metrics.divergences import distances
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.evaluation.references import noise_floor, summarise, verdict
from hf_unlearn.evaluation.report.curves import make_curves
from hf_unlearn.evaluation.report.html import forget_strip
from hf_unlearn.evaluation.report.results import Comparison
from hf_unlearn.models.from_scratch import new_weights
from hf_unlearn.request import UnlearningSplits

SCHEMA_VERSION = 2
ROLES = ("original", HEAD_ONLY, "unlearned")
TIMED = ("unlearned", "retrained")
# What the zero-retrain forgetting is measured against.
RANDOM = "random"


def compare_models(
    contestants: Mapping[str, Contestant],
    splits: UnlearningSplits,
    references: Sequence[Contestant] = (),
    *,
    level: str = "fast",
    batch_size: int = 256,
    device: str | torch.device = "cpu",
    cache_dir: str | os.PathLike | None = None,
    seed: int = 0,
    seconds: Mapping[str, float] | None = None,
    max_retain_samples: int = 0,
    on_part: Callable[[str], None] | None = None,
) -> Comparison:
    """Figures of each model on the forget, retain and test set; [`hf_unlearn.compare`] takes models by name.

    Args:
        contestants: by role: `original`, `unlearned`, or both, and beside them `head_only`: the original after the same
            method with all weights but the head's frozen, a control.
        splits: of the request.
        references: up to four models retrained without the forget set, with different seeds.
        level: `fast`: accuracies and distances to the retrained models, from one pass a model and split.
            `standard`: also membership attacks, input sensitivities, ZRF and relearning. `deep`: also the depth panel.
        batch_size: samples a forward pass.
        cache_dir: keeps logits for another call; by default they are thrown away.
        seed: of everything drawn.
        seconds: by role (`unlearned`, and `retrained` of the references), how long making the model took.
        max_retain_samples: look at no more of the retained samples, drawn by `seed`; 0: at all of them.
        on_part: see [`hf_unlearn.compare`].

    Returns:
        What `results.json` holds. `models` has the figures by role, `retrained` the mean over `references`, and
        `retrained_std` the standard deviation over them; `noise_floor` the same distances between the references;
        `retain_sample` says of how many retained samples how many were looked at, and half the width of a 95 %
        confidence interval of an accuracy over them, in points, at most; None if at all of them.
        `left_out` says of each figure that is missing why; `curves` is what plots are drawn from. Their names, units
        and directions are those of `hf_unlearn.evaluation.report.rows`. No sample and no index is in it.

    Models are left in eval mode on `device`.

    Raises:
        UnlearningError: a role or level that is none, more than four references, references with other labels or
            another image size than the model's, splits that overlap, logits that are not finite.
    """
    check_settings(level, references, batch_size, max_retain_samples, seed)
    _check(contestants, splits, seconds or {})
    num_retain = len(splits.retain_indices)
    if max_retain_samples:
        splits = splits.with_retain_sample(max_retain_samples, seed)
    splits = splits.with_readable_retain()
    everyone = {**contestants, **{f"reference {number}": model for number, model in enumerate(references, 1)}}
    with shared_folder(cache_dir) as folder:
        store = LogitStore(folder, splits, batch_size, device, on_part)
        _check_references(store, everyone)
        twins = store.twins({role: each for role, each in everyone.items() if role not in contestants})
        if twins is not None:
            # How far retrained models differ is what a model's distance is measured against.
            one, other = (everyone[role].name for role in twins)
            raise UnlearningError(f"the references {one!r} and {other!r} are one model; expected different seeds")
        parts = {"forget": splits.forget, "retain": splits.retain, "test": splits.test}
        names = [name for name, part in parts.items() if part is not None]
        store.verify_images(everyone, names)
        logits: dict[str, dict[str, np.ndarray]] = {role: {} for role in everyone}
        samples: dict[str, dict[str, SampleFigures]] = {role: {} for role in everyone}
        for name in names:
            labels = store.labels(name)
            beside = {}
            if level != "fast" and name == "forget":
                first = next(iter(everyone.values()))
                beside[RANDOM] = first._replace(model=new_weights(first.model, seed))
            found = store.logits({**everyone, **beside}, name)
            if beside:
                random_logits = found.pop(RANDOM)
            for role, values in found.items():
                logits[role][name] = values
                samples[role][name] = SampleFigures.of(values, labels)
        figures = {role: split_figures(samples[role], splits.test_forgotten) for role in everyone}
        if splits.removes_whole_classes:
            _refuse_knowing({each.name: figures[role] for role, each in everyone.items() if role not in contestants})
        left_out = {f"figures of the {name} set": NO_SUCH_SET[name] for name in parts if name not in names}
        probed = Probed()
        if level != "fast":
            probed = probe(store, everyone, samples, logits, random_logits, figures, seed)
            left_out.update(probed.left_out)
        else:
            left_out["membership attacks, sensitivities, ZRF, relearning"] = "at the level fast they are not taken"
        if level == "deep" and PartialState().is_main_process:
            left_out.update(take_depth(store, everyone, logits, figures, seed))
        judged = _with_mask(list(contestants), figures, logits, store, left_out)
        floor = _add_distances(figures, logits, judged, seconds or {}, left_out, bool(references))
        depth_curve: dict[str, Any] = {}
        inside: dict[str, Any] = {}
        depth_floor = None
        if level == "deep":
            depth_curve, depth_floor = add_depth(figures, judged, splits.removes_whole_classes, left_out)
            inside = {} if depth_curve else found_inside(figures, judged)
        else:
            left_out["depth"] = "it is taken at the level deep"
        if floor is not None and depth_floor is not None:
            floor["depth"] = depth_floor
        models: dict[str, dict[str, Any]] = {role: dict(figures[role]) for role in judged}
        std = None
        if references:
            means, std = summarise([figures[role] for role in everyone if role not in contestants])
            models["retrained"] = dict(means)
            # It is given as a mean already.
            (std or {}).pop("seconds", None)
            for key in DISTANCE_KEYS:
                models["retrained"][key] = None if floor is None else floor.get(key)
        curves = {**make_curves(samples, probed, splits), "depth": depth_curve, "inside": inside}
        shown = {"retrained" if role == "reference 1" else role: role for role in [*contestants, "reference 1"]}
        answers = {name: logits[role]["forget"] for name, role in shown.items() if role in logits}
        strip = forget_strip(answers, store.answer_names(next(iter(contestants.values()))), splits)
    for role in judged:
        shown_name = contestants["original" if role == MASKED else role].shown
        models[role] = {"name": shown_name, **models[role]}
    results = {
        "schema_version": SCHEMA_VERSION,
        "level": level,
        "request": splits.request.summary(),
        "whole_classes": splits.removes_whole_classes,
        "fingerprint": splits.fingerprint.id,
        "dataset": splits.fingerprint.dataset_name,
        "counts": {name: len(store.labels(name)) for name in names},
        "retain_sample": _retain_sample(len(splits.retain_indices), num_retain),
        "models": models,
        "references": [
            {"name": contestant.shown, **figures[role]}
            for role, contestant in everyone.items()
            if role not in contestants
        ],
        "retrained_std": std,
        "noise_floor": floor,
        "verdict": verdict(models, floor),
        "left_out": left_out,
        "curves": curves,
    }
    return Comparison(results, strip)


def _retain_sample(samples: int, among: int) -> dict[str, Any] | None:
    """How near a share over `samples` of `among` is to that over all; at a share of a half, where it is furthest."""
    if samples == among:
        return None
    drawn_without_return = (among - samples) / (among - 1)
    return {"samples": samples, "among": among, "half_width": 98.0 * (drawn_without_return / samples) ** 0.5}


# Why there are no figures of a set.
NO_SUCH_SET = {
    "retain": "the samples to forget came without the rest of the training set",
    "test": "there is no test set",
}
DISTANCE_KEYS = (
    "average_gap",
    "average_gap_salun",
    "tug_of_war",
    "js_divergence",
    "kl_divergence",
    "activation_distance",
    "completeness",
)


# What is infinite for an answer that has no probability at all.
INFINITE_OF_MASK = ("kl_divergence", "modified_entropy")


def _with_mask(
    roles: list[str],
    figures: dict[str, dict[str, float | None]],
    logits: dict[str, dict[str, Any]],
    store: LogitStore,
    left_out: dict[str, str],
) -> list[str]:
    """Put the control *mask the logit* beside the models; returns the roles with it, after the original."""
    masked, why_not = masked_original(logits, store.splits)
    if masked is None:
        left_out["mask the logit"] = why_not
        return roles
    logits[MASKED] = dict(masked)
    samples = {name: SampleFigures.of(values, store.labels(name)) for name, values in masked.items()}
    behind = {key: figures["original"][key] for key in BEHIND_THE_MASK if key in figures["original"]}
    figures[MASKED] = {**split_figures(samples, store.splits.test_forgotten), **behind}
    left_out["KL divergence and modified entropy of the mask"] = "they are infinite: it leaves no probability at all"
    return ["original", MASKED, *(role for role in roles if role != "original")]


def split_figures(samples: Mapping[str, SampleFigures], test_forgotten: np.ndarray | None) -> dict[str, float | None]:
    """The accuracies of one model in percent, from its samples by split name (`forget`, `retain`, `test`)."""
    forget_accuracy = percent(samples["forget"].correct)
    figures: dict[str, float | None] = {
        "forget_accuracy": forget_accuracy,
        "unlearning_accuracy": unlearning_accuracy(forget_accuracy),
        "retain_accuracy": percent(samples["retain"].correct) if "retain" in samples else None,
        "test_accuracy": None,
        "test_accuracy_remaining": None,
        "test_accuracy_forgotten": None,
        "test_accuracy_siblings": None,
        "modified_entropy": float(samples["forget"].modified_entropy.mean()),
    }
    if "test" in samples and test_forgotten is not None:
        correct = samples["test"].correct
        figures["test_accuracy"] = percent(correct)
        figures["test_accuracy_remaining"] = percent(correct, ~test_forgotten)
        figures["test_accuracy_forgotten"] = percent(correct, test_forgotten)
        figures["test_accuracy_siblings"] = percent(correct, siblings(samples["test"].labels, test_forgotten))
    return figures


def _add_distances(
    figures: dict[str, dict[str, float | None]],
    logits: Mapping[str, Mapping[str, np.ndarray]],
    judged: list[str],
    seconds: Mapping[str, float],
    left_out: dict[str, str],
    has_references: bool,
) -> dict[str, float] | None:
    """Fill in what is measured against the retrained models; returns the noise floor."""
    references = [role for role in figures if role not in judged]
    for role in figures:
        known = seconds.get(role if role in judged else "retrained")
        if known is not None:
            figures[role]["seconds"] = known
    if not has_references:
        left_out["distances to the retrained model"] = "there is no retrained model (--reference_model)"
        return None

    def between(role: str, other: str) -> dict[str, float | None]:
        return {
            "average_gap": average_gap(figures[role], figures[other]),
            "average_gap_salun": average_gap(figures[role], figures[other], SALUN_GAP_FIGURES),
            "tug_of_war": tug_of_war(figures[role], figures[other]),
            **distances(logits[role]["forget"], logits[other]["forget"]),
        }

    for role in judged:
        pairs = [between(role, other) for other in references]
        figures[role].update(summarise(pairs)[0])
        if role == MASKED:
            figures[role].update(dict.fromkeys(INFINITE_OF_MASK))
        for name in ("target", "irrelevant"):
            ours = figures[role].get(f"{name}_sensitivity")
            theirs = [figures[other].get(f"{name}_sensitivity") for other in references]
            if ours is not None and all(theirs):
                figures[role][f"{name}_ratio"] = ours / float(np.mean([value for value in theirs if value]))
        relearned = [figures[other].get("relearn_steps") for other in references]
        steps = figures[role].get("relearn_steps")
        if steps is not None and all(relearned):
            figures[role]["relearn_ratio"] = steps / float(np.mean([value for value in relearned if value]))
        elif 0.0 in relearned:
            left_out["relearn_ratio"] = "a retrained model needs no step"
    if "unlearned" in judged and {"unlearned", "retrained"} <= seconds.keys():
        figures["unlearned"]["runtime_ratio"] = runtime_ratio(seconds["unlearned"], seconds["retrained"])
    else:
        left_out["runtime ratio (RTE)"] = "it is not known of both unlearning and retraining how long they took"
    if len(references) < 2:
        left_out["noise floor"] = "it takes at least two retrained models"
        return None
    return noise_floor([between(a, b) for a in references for b in references if a != b])


def _check(contestants: Mapping[str, Contestant], splits: UnlearningSplits, seconds: Mapping[str, float]) -> None:
    for role in contestants:
        if role not in ROLES:
            raise UnlearningError(f"role {role!r} is not one of {', '.join(ROLES)}")
    if not contestants:
        raise UnlearningError("no model was given; expected an original or an unlearned one")
    for role, value in seconds.items():
        if role not in TIMED or not value > 0:
            raise UnlearningError(f"seconds of {role!r} are {value}; expected more than 0, of {' or '.join(TIMED)}")
    shared = np.intersect1d(splits.forget_indices, splits.retain_indices)
    if len(shared):
        raise UnlearningError(f"forget set and retain set share {len(shared)} samples; expected none")


def _check_references(store: LogitStore, everyone: Mapping[str, Contestant]) -> None:
    """References must have the labels and the image size of the model they are the target of."""
    first, *others = everyone
    model = everyone[first].model
    names = Counter(further_labels(model, store.splits))
    shape = _image_shape(store, everyone[first])
    for role in others:
        contestant = everyone[role]
        # The dataset's labels are matched to those of each by themselves; what else they answer must be the same.
        further = Counter(further_labels(contestant.model, store.splits))
        different = sorted(((names - further) + (further - names)).elements())
        if different:
            raise UnlearningError(
                f"the {role} model {contestant.name!r} has other labels than the {first} one: {different[0]!r} is in "
                "one of them only; expected the same labels"
            )
        theirs = _image_shape(store, contestant)
        if theirs != shape:
            raise UnlearningError(
                f"the {role} model {contestant.name!r} takes images of {theirs}, the {first} one of {shape} (channels, "
                "height, width); expected the same"
            )


def _refuse_knowing(references: Mapping[str, Mapping[str, Any]]) -> None:
    """References, by name, were trained without the classes, or they are the target of nothing."""
    for name, figures in references.items():
        if figures["forget_accuracy"] > WHOLE_CLASS_ACCURACY:
            raise UnlearningError(
                f"the reference {name!r} knows the forgotten classes: it has a forget accuracy of "
                f"{figures['forget_accuracy']:.1f} %; expected a model retrained without them, with at most "
                f"{WHOLE_CLASS_ACCURACY:g} %"
            )


def _image_shape(store: LogitStore, contestant: Contestant) -> tuple[int, ...]:
    return tuple(store.pixels(contestant, "forget").process([0]).shape[1:])
