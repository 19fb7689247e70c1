"""`hf-unlearn suggest`: which method to take for a model and a request, with the measured rows that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_unlearn.commands.advice import (
    DATA,
    NOTHING,
    OURS,
    REGIMES,
    REQUESTS,
    SURE,
    advise,
    read_results,
    seeds_of,
    value_of,
)
from hf_unlearn.commands.arguments import flag
from hf_unlearn.commands.parsing import parse, say
from hf_unlearn.errors import UnlearningError, did_you_mean, one_line

if TYPE_CHECKING:
    from hf_unlearn.commands.advice import Advice, Held, Row

DESCRIPTION = (
    "Which method to take, from the committed results of this library's studies, with the rows that it rests on and "
    "those in which MU-Mis loses. The models of the studies are small: a result for yours is only had by running it."
)
EXACT = "exact"
NEEDED = {"forget": "the forget set alone", "unseen": "samples that were never seen", "retain": "the retained samples"}


@dataclass
class SuggestArguments:
    """The case"""

    request: str = field(metadata={"help": "What is to be forgotten: class, subclass, random (samples) or person."})
    data: str = flag(
        "What is at hand: forget (the samples to forget alone), unseen (and samples that the model never saw), retain "
        "(and the rest of the training set).",
        "forget",
    )
    sure: str = flag(
        "By what it is judged: accuracy, membership (attacks), depth (probes inside), or exact (by construction).",
        "accuracy",
    )
    regime: str | None = flag(
        "How the model was trained: early (hardly overfitted), memorised (training accuracy 100 %, not augmented), "
        "augmented, fine-tuned (from a pretrained one)."
    )
    model_name_or_path: str | None = flag("The model, of which the kind counts: a folder, or a name on the Hub.")
    model_type: str | None = flag("Its kind instead, as in its config: resnet, vit.")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input, or nothing like it was measured.
    """
    (flags,) = parse("suggest", DESCRIPTION, (SuggestArguments,), None, None, argv or ())
    for name, known in (("request", REQUESTS), ("data", DATA), ("sure", (*SURE, EXACT)), ("regime", REGIMES)):
        value = getattr(flags, name)
        if value is not None and value not in known:
            raise UnlearningError(f"{name} {value!r} is not known; {did_you_mean(value, known)}")
    if flags.sure == EXACT:
        say(_exact(flags.data))
        return
    model = flags.model_type
    if model is not None and not model.strip():
        raise UnlearningError(f"model_type is {model!r}; expected a kind of model, such as resnet or vit")
    if flags.model_name_or_path is not None:
        if model is not None:
            raise UnlearningError("--model_name_or_path and --model_type are both given; expected one")
        model = _type_of(flags.model_name_or_path)
    advice = advise(read_results(), flags.request, flags.data, flags.sure, flags.regime, model)
    say("\n".join(_lines(advice, flags, model)))


def _type_of(name: str) -> str:
    from transformers import AutoConfig

    try:
        return str(AutoConfig.from_pretrained(name).model_type)
    except (OSError, ValueError) as error:
        raise UnlearningError(f"model {name!r} cannot be read: {one_line(error)}") from error


def _exact(data: str) -> str:
    if data != "retain":
        return (
            "Nothing that starts from the model can be sure by construction. Retraining is, and it takes the retained "
            "samples, which are not at hand."
        )
    return "take retrain\n  No other method is sure by construction.\n  hf-unlearn unlearn --method retrain ..."


def _lines(advice: Advice, flags: SuggestArguments, model: str | None) -> list[str]:
    lines = [f"take {advice.method}" if advice.method != NOTHING else "leave the model as it is"]
    beside = [("doing nothing", advice.nothing), ("another retrained model", advice.floor)]
    said = ", ".join(f"{name} {value:.2f}" for name, value in beside if value is not None)
    many = "setting" if advice.settings == 1 else "settings"
    over = f"{advice.settings} {many}"
    if len(advice.rows) != advice.settings:
        over = f"{len(advice.rows)} rows of {over}"
    lines.append(f"  {advice.figure}: {advice.value:.2f} over {over} ({said})")
    if advice.nothing is not None and advice.method != NOTHING and advice.value >= advice.nothing:
        lines.append("  That is no better than doing nothing.")
    if advice.untried:
        more = "setting" if advice.untried == 1 else "settings"
        lines.append(f"  In {advice.untried} more {more} like yours {OURS} ran, and {advice.method} did not.")
    if advice.unpaired:
        lines.append(f"  In {advice.unpaired} of {len(advice.rows)} rows {OURS} ran with other training seeds.")
    if advice.widened:
        lines.append(f"  Of {advice.widened} there is no result; these are of others.")
    if flags.request == "class" and flags.sure == "accuracy":
        lines.append("  By accuracy the mask of a logit does as well, and forgets nothing: ask --sure depth.")
    if flags.request == "subclass" and flags.data == "forget":
        lines.append("  A sub-class needs samples that were never seen: give --reference_split, and ask --data unseen.")
    if flags.request == "subclass" and advice.method not in (OURS, NOTHING):
        lines.append(
            "  What ruins a sub-class looks right where nothing like it stays, and is wrong where siblings teach it."
        )
    if advice.method == OURS and any(row["needs"] == "unseen" for row in advice.rows):
        lines.append("  With samples that were never seen: give --reference_split.")
    if advice.settings == 1:
        lines.append("  One setting is no more than a hint.")
    lines += ["", "It rests on"]
    lines += [
        f"  {_shown(row)}, {_seeds(seeds_of(row, flags.sure))}: {value_of(row, flags.sure):.2f}" for row in advice.rows
    ]
    for heading, losses in (
        (f"{OURS} loses with the data at hand", advice.losses),
        (f"{OURS} loses to methods that take more data", advice.loses_with_more),
    ):
        if losses:
            lines += ["", heading]
            lines += [_lost(held, flags.sure) for held in losses]
    if not advice.losses and not advice.loses_with_more:
        lines += ["", f"In none of these settings does {OURS} lose by more than two retrained models differ."]
    if advice.method != NOTHING:
        lines += ["", f"hf-unlearn unlearn --method {advice.method} ..."]
    return lines


def _lost(held: Held, sure: str) -> str:
    row, many = held.row, (_seeds(seeds_of(each, sure)) for each in (held.row, held.ours))
    over = _seeds(held.seeds) if held.seeds else f"no seed in common: {' and '.join(many)}"
    figures = f"{row['method']} {held.theirs:.2f}, {OURS} {held.mine:.2f}"
    return f"  {_shown(row)}, {over}: {figures} ({NEEDED[row['needs']]})"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}"


def _shown(row: Row) -> str:
    setting = ", ".join(row[name] for name in ("regime", "dataset", "model", "request"))
    return f"{row['source']}.csv: {setting}"
