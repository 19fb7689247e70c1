"""From the answers of many models to what the three audits say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.attacks.membership import TooFewSamples
from hf_unlearn.evaluation.audits import klom as klom_
from hf_unlearn.evaluation.audits import u_lira as lira
from hf_unlearn.evaluation.audits.answers import Answers, Halves
from hf_unlearn.evaluation.audits.exchange import ROUNDS, Chance, permuted
from hf_unlearn.evaluation.audits.forgetting_quality import (
    Ordered,
    example_epsilons,
    final_score,
    forgetting_quality,
)
from hf_unlearn.evaluation.audits.margins import check_margins
from hf_unlearn.files import write_json

# An exact method fails one of the audits with at most this chance.
LEVEL = 0.05


class Audit(dict[str, Any]):
    """What [`audit_answers`] found, as `audit.json` holds it; printed it is a table."""

    def __str__(self) -> str:
        from hf_unlearn.evaluation.audits.table import audit_table

        return audit_table(self)

    def __repr__(self) -> str:
        return f"Audit(verdict={self['verdict']!r}, num_models={self['num_models']}, audits={list(self['audits'])})"

    def save(self, path: str | os.PathLike) -> None:
        """Write it as JSON; the folder is made if need be.

        Raises:
            OSError: it cannot be written.
        """
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        write_json(self, path)


def audit_answers(
    unlearned: Answers,
    retrained: Answers,
    halves: Halves | None = None,
    *,
    reference_compatible: bool = False,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Audit:
    """Whether unlearned models can be told from retrained ones.

    Each audit's figure is held against what it is when the models are called *unlearned* and *retrained* at random,
    which is what exact unlearning gives with so many models. An audit fails where the figure is so large (for the
    forgetting quality: so small) with a chance of at most 0.05, divided by the number of audits.

    Args:
        unlearned: N models, unlearned from N distinct originals.
        retrained: N models retrained without the forget set, trained independently of those.
        halves: for U-LiRA; without them there are the other two audits.
        reference_compatible: take KLoM as its authors' code does, see [`klom`]; and say beside the forgetting quality
            what it is on the grids of the competition's code, see [`example_epsilons`].
        seed: of the permutations.
        rounds: permutations an audit.

    Returns:
        `audits`: by name its `figure`, `expected` (the median if unlearning were exact), `p`, `passes`, and the
        audit's further figures. `verdict`: "passes" if every audit does, else "fails". `accuracies` in percent, mean
        over models, by role and part. `left_out`: of each audit that was not taken, why.

    Raises:
        UnlearningError: too few models, unlike numbers of them, or margins that are no numbers.
    """
    ours, theirs = check_margins(unlearned.margins["forget"], retrained.margins["forget"])
    check_rounds(rounds)
    chance = {"seed": seed, "rounds": rounds}
    audits: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    if halves is None:
        left_out["u_lira"] = "there are no models that were trained on random halves of the data"
    else:
        try:
            audits["u_lira"] = _u_lira(halves, chance)
        except TooFewSamples as error:
            left_out["u_lira"] = str(error)
    audits["klom"] = _klom(unlearned, retrained, reference_compatible, chance)
    audits["forgetting_quality"] = _quality(ours, theirs, (unlearned, retrained), reference_compatible, chance)
    for each in audits.values():
        each["passes"] = each["p"] > LEVEL / len(audits)
    return Audit(
        {
            "num_models": len(ours),
            "counts": {part: values.shape[1] for part, values in unlearned.margins.items()},
            "reference_compatible": reference_compatible,
            "verdict": "passes" if all(each["passes"] for each in audits.values()) else "fails",
            "audits": audits,
            "accuracies": {"unlearned": unlearned.mean_accuracies(), "retrained": retrained.mean_accuracies()},
            "left_out": left_out,
        }
    )


def _told(figure: float, chance: Chance, sign: float = 1.0, **further: Any) -> dict[str, Any]:
    plain = {name: _rounded(value) for name, value in further.items()}
    return {"figure": _rounded(sign * figure), "expected": _rounded(sign * chance.expected), "p": chance.p, **plain}


def _rounded(value: Any) -> Any:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def _u_lira(halves: Halves, chance: Mapping[str, int]) -> dict[str, Any]:
    values, members = halves.answers.margins["forget"], np.asarray(halves.members["forget"], bool)
    attack = lira.u_lira(values, members)
    _, found = permuted(lambda labels: lira.u_lira(values, labels).auc, members, **chance)
    told = attack.per_example[~np.isnan(attack.per_example)]
    further = {
        "balanced_accuracy": attack.balanced_accuracy,
        "tpr_at_1": attack.tpr_at_1,
        "tpr_at_01": attack.tpr_at_01,
        **{f"accuracy_of_samples_{part}": np.percentile(told, part) for part in (5, 50, 95) if len(told)},
    }
    if "retain" in halves.members:
        retain = lira.u_lira(halves.answers.margins["retain"], np.asarray(halves.members["retain"], bool))
        further["retain_auc"] = retain.auc
    return _told(attack.auc, found, **further)


def _klom(
    unlearned: Answers, retrained: Answers, reference_compatible: bool, chance: Mapping[str, int]
) -> dict[str, Any]:
    worst = {
        part: klom_.klom_percentile(klom_.klom(values, retrained.margins[part], reference_compatible))
        for part, values in unlearned.margins.items()
        if part in retrained.margins
    }
    bins = klom_.bins_of(
        np.concatenate(check_margins(unlearned.margins["forget"], retrained.margins["forget"])), reference_compatible
    )

    def figure(of_unlearned: np.ndarray) -> float:
        found = klom_.divergences(bins, of_unlearned, reference_compatible)
        # In the reference code's histograms there may be nothing left of a side: then nothing is said of the sample.
        return klom_.klom_percentile(np.nan_to_num(found))

    there, found = permuted(figure, _called(len(unlearned)), **chance)
    return _told(there, found, **{part: value for part, value in worst.items() if part != "forget"})


def _quality(
    ours: np.ndarray,
    theirs: np.ndarray,
    answers: tuple[Answers, Answers],
    reference_compatible: bool,
    chance: Mapping[str, int],
) -> dict[str, Any]:
    count, ordered = len(ours), Ordered(np.concatenate([ours, theirs]))
    epsilons = ordered.epsilons(_called(count))

    def figure(of_unlearned: np.ndarray) -> float:
        return -forgetting_quality(ordered.epsilons(of_unlearned), count)

    there, found = permuted(figure, _called(count), **chance)
    further = {"median_epsilon": np.median(epsilons), "largest_epsilon": epsilons.max(), "final_score": None}
    unlearned, retrained = (each.mean_accuracies() for each in answers)
    parts = ("retain", "test")
    if all(retrained.get(part) and part in unlearned for part in parts):
        further["final_score"] = final_score(
            -there, *((each["retain"], each["test"]) for each in (unlearned, retrained))
        )
    if reference_compatible:
        further["on_the_reference_grids"] = forgetting_quality(example_epsilons(ours, theirs, True), count)
    return _told(there, found, sign=-1.0, **further)


def _called(count: int) -> np.ndarray:
    """Which of `count` unlearned and then as many retrained models are called unlearned."""
    return np.arange(2 * count) < count


def check_rounds(rounds: int) -> None:
    """Refuse fewer permutations than a verdict takes.

    Raises:
        UnlearningError: no p-value could be small enough to fail.
    """
    least = int(np.ceil(3 / LEVEL))
    if rounds < least:
        raise UnlearningError(f"rounds is {rounds}; expected at least {least}, or no audit could fail")
