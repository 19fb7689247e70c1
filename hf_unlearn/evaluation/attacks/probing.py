"""What takes more than a pass of logits: membership attacks, sensitivities, a random model, relearning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from accelerate import PartialState

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.attacks.membership import TooFewSamples, confidence_attack, entropy_attack, loss_attack
from hf_unlearn.evaluation.attacks.relearning import relearn
from hf_unlearn.evaluation.attacks.residual import Sensitivities, sensitivities
from hf_unlearn.evaluation.attacks.rmia import auc, likelihood_ratios, rmia_scores, tpr_at_fpr
from hf_unlearn.evaluation.logits import LogitStore, label_order
from hf_unlearn.evaluation.metrics.divergences import zero_retrain_forgetting
from hf_unlearn.evaluation.metrics.samples import SampleFigures
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.request import UnlearningSplits

SENSITIVITY_SAMPLES = 256
RELEARN_SHARE = 0.9


@dataclass
class Probed:
    """What was found beside figures.

    Attributes:
        sensitivities: by role, on forget samples; under "unseen" the first model's on test samples of their classes.
        losses: by role, log p_y of forget and of unseen samples: the score of the loss attack.
        rmia: by role, RMIA's scores of the same, where there are any.
        left_out: of each figure that could not be taken, why.
    """

    sensitivities: dict[str, Sensitivities] = field(default_factory=dict)
    losses: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    rmia: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def probe(
    store: LogitStore,
    everyone: Mapping[str, Contestant],
    samples: Mapping[str, Mapping[str, SampleFigures]],
    logits: Mapping[str, Mapping[str, np.ndarray]],
    random_logits: np.ndarray,
    figures: dict[str, dict[str, float | None]],
    seed: int,
) -> Probed:
    """Add these figures to `figures`, for every role.

    Args:
        random_logits: of a model of random weights on the forget set.
    """
    probed = Probed()
    unseen = unseen_rows(store.splits)
    references = [role for role in everyone if role.startswith("reference")]
    for role in everyone:
        store.say(f"membership attacks on the {role} model")
        _attack(role, references, store, samples, figures[role], probed, seed)
    # What is slow here is done by one process; the others have nothing to wait for.
    if PartialState().is_main_process:
        _forgetting_of_a_random_model(logits, random_logits, figures)
        _sensitivities(store, everyone, unseen, figures, probed, seed)
        _relearning(store, everyone, figures, probed, seed)
    return probed


def unseen_rows(splits: UnlearningSplits) -> np.ndarray:
    """Rows of the test set to hold the forget set against: boolean, those of what was forgotten, else of its classes.

    Membership shows in a comparison of like with like: forget samples of a class against unseen ones of that class.
    """
    if splits.test_forgotten.any():
        return splits.test_forgotten
    return np.isin(splits.test_labels(), np.unique(splits.forget_labels()))


def _attack(
    role: str,
    references: list[str],
    store: LogitStore,
    samples: Mapping[str, Mapping[str, SampleFigures]],
    figures: dict[str, float | None],
    probed: Probed,
    seed: int,
) -> None:
    if "test" not in samples[role]:
        probed.left_out["membership attacks"] = "there is no test set to tell members from"
        return
    unseen = unseen_rows(store.splits)
    forget, retain, test = samples[role]["forget"], samples[role].get("retain"), samples[role]["test"]
    gone = store.splits.test_forgotten
    remaining = ~gone if not gone.all() else gone
    like, others = test.at(unseen), test.at(remaining)

    def take(key: str, attack: Callable[[], float]) -> None:
        try:
            figures[key] = attack()
        except TooFewSamples as error:
            figures[key] = None
            probed.left_out[key] = str(error)

    if retain is None:
        probed.left_out["entropy and confidence attacks, RMIA of the retain set"] = (
            "they take retained samples, and the samples to forget came without"
        )
    else:
        stay = retain
        take("mia_entropy", lambda: entropy_attack(stay.entropy, others.entropy, forget.entropy))
        take("mia_confidence", lambda: confidence_attack(stay.confidence, others.confidence, forget.confidence, seed))
    take("mia_loss", lambda: loss_attack(-forget.log_confidence, -like.log_confidence, seed))
    probed.losses[role] = (forget.log_confidence, like.log_confidence)
    out = [other for other in references if other != role]
    if not out:
        if not references:
            probed.left_out["RMIA"] = "it takes a retrained model as reference"
        else:
            probed.left_out["RMIA of the retrained model"] = "it takes a second one as reference"
        return

    def ratios(name: str, rows: np.ndarray | None = None) -> np.ndarray:
        chosen = [samples[model][name] for model in (role, *out)]
        own, *theirs = [part.log_confidence if rows is None else part.log_confidence[rows] for part in chosen]
        return likelihood_ratios(own, theirs)

    if gone.any() and not gone.all():
        compared, population = np.flatnonzero(unseen), np.flatnonzero(remaining)
    else:
        # All test samples are like the forgotten ones: every other one of them is the population.
        compared, population = np.flatnonzero(unseen)[::2], np.flatnonzero(unseen)[1::2]
    try:
        against = ratios("test", population)
        ours, strangers = (rmia_scores(part, against) for part in (ratios("forget"), ratios("test", compared)))
        probed.rmia[role] = (ours, strangers)
        take("rmia_auc", lambda: auc(ours, strangers))
        take("rmia_tpr_1", lambda: tpr_at_fpr(ours, strangers, 0.01))
        take("rmia_tpr_01", lambda: tpr_at_fpr(ours, strangers, 0.001))
        if retain is not None:
            take("rmia_auc_retain", lambda: auc(rmia_scores(ratios("retain"), against), ours))
    except TooFewSamples as error:
        probed.left_out["RMIA"] = str(error)


def _forgetting_of_a_random_model(
    logits: Mapping[str, Mapping[str, np.ndarray]],
    random_logits: np.ndarray,
    figures: dict[str, dict[str, float | None]],
) -> None:
    for role in figures:
        figures[role]["zrf"] = zero_retrain_forgetting(logits[role]["forget"], random_logits)


def _sensitivities(
    store: LogitStore,
    everyone: Mapping[str, Contestant],
    unseen: np.ndarray,
    figures: dict[str, dict[str, float | None]],
    probed: Probed,
    seed: int,
) -> None:
    rows = evenly_spaced(len(store.splits.forget), SENSITIVITY_SAMPLES)
    for role, contestant in everyone.items():
        store.say(f"the sensitivities of the {role} model")
        order = label_order(contestant.model, store.splits)
        pixels = store.remembered(contestant, "forget")
        found = sensitivities(contestant.model, pixels, rows, seed, device=store.device, order=order)
        probed.sensitivities[role] = found
        figures[role]["target_sensitivity"] = float(found.target.mean())
        figures[role]["irrelevant_sensitivity"] = float(found.irrelevant.mean())
    if unseen.any():
        first = next(iter(everyone.values()))
        chosen = np.flatnonzero(unseen)
        chosen = chosen[evenly_spaced(len(chosen), SENSITIVITY_SAMPLES)]
        order = label_order(first.model, store.splits)
        probed.sensitivities["unseen"] = sensitivities(
            first.model, store.pixels(first, "test"), chosen, seed, device=store.device, order=order
        )


def _relearning(
    store: LogitStore,
    everyone: Mapping[str, Contestant],
    figures: dict[str, dict[str, float | None]],
    probed: Probed,
    seed: int,
) -> None:
    before = figures["original"]["forget_accuracy"] if "original" in everyone else None
    if not before:
        why = "it takes the original model, whose forget accuracy is the goal"
        probed.left_out["relearn_steps"] = why if before is None else "the original knows none of the forget samples"
        return
    for role, contestant in everyone.items():
        if role == "original":
            continue
        pixels = store.remembered(contestant, "forget")
        found = relearn(
            contestant.model,
            pixels,
            RELEARN_SHARE * before,
            seed=seed,
            device=store.device,
            on_step=lambda role=role: store.say(f"how fast the {role} model relearns"),  # type: ignore[misc]
        )
        figures[role]["relearn_steps"] = None if found.steps is None else float(found.steps)
        if found.steps is None:
            last = found.accuracies[-1]
            probed.left_out[f"relearn_steps of the {role} model"] = (
                f"not back within {len(found.accuracies) - 1} steps (forget accuracy {last:.1f} %)"
            )
