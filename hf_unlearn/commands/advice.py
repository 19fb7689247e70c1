"""Which method to take, from measured rows: one on settings like the user's, and what it lost and won there."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hf_unlearn.errors import UnlearningError

REGIMES = ("early", "memorised", "augmented", "fine-tuned")
REQUESTS = ("class", "subclass", "random", "person")
_SAMPLES = ("random", "most memorised", "person")
# The kinds of request in the rows that stand for one, those most like it first.
_KINDS: dict[str, list[tuple[str, ...]]] = {
    "class": [("class", "classes")],
    "subclass": [("subclass",)],
    "random": [("random", "most memorised"), _SAMPLES],
    "person": [("person",), _SAMPLES],
}
_CALLED = {"random": "random samples", "person": "the samples of a person"}
# Each of them has what those before it have.
DATA = ("forget", "unseen", "retain")
# By which figure, and what it is called.
SURE = {
    "accuracy": ("gap", "gap to a retrained model, points"),
    "membership": ("membership", "distance of the RMIA AUC to a retrained model's, points"),
    "depth": ("depth", "distance from a depth of 100 %, points"),
}
CONTROLS = ("mask_logit", "head_only", "retrain")
OURS, NOTHING, FLOOR = "mu_mis", "do nothing", "floor"
# So many points of the remaining test accuracy a method may be farther from the retrained model than the original is.
SPOILT = 5.0
# Gaps of doing nothing that are farther apart, in points, are of other models.
SAME_MODELS = 0.002

# A method on one setting of one study: `seeds`, and of each figure a value (or None) for each of them.
Row = dict[str, Any]
# With the study before it, or without.
Setting = tuple[str, ...]


def read_results() -> list[Row]:
    """The rows that travel with the package: see scripts/make_suggestions.py."""
    return json.loads((Path(__file__).parent / "suggest_rows.json").read_text(encoding="utf-8"))


class Held(NamedTuple):
    """A method's row held against MU-Mis' row, on the training seeds that both have.

    Attributes:
        row, ours: of the same setting and study.
        theirs, mine: means of the figure; where they share no seed, each over all seeds of its own.
        seeds: those that they share.
    """

    row: Row
    ours: Row
    theirs: float
    mine: float
    seeds: tuple[int, ...]

    @property
    def lead(self) -> float:
        """By how much the method is better."""
        return self.mine - self.theirs


@dataclass(frozen=True)
class Advice:
    """What to take, and why.

    Attributes:
        method: its name; `"do nothing"` where nothing does better than that.
        figure: what was compared, in words.
        value, nothing, floor: means over the settings of that figure: of the method, of doing nothing (on the method's
            seeds, where it has them), and of another retrained model; None where it was not measured.
        settings: how many; one that several studies ran counts once.
        untried: settings of MU-Mis in which the method did not run.
        rows: of the method, one for each setting of each study; of MU-Mis those with the most data.
        losses: settings in which a method that takes no more data is better than MU-Mis by more than the floor.
        loses_with_more: the same for methods that take more data than is at hand.
        unpaired: in how many of the rows the method and MU-Mis have no training seed in common.
        widened: what was left out of account, since no setting had it, in words.
    """

    method: str
    figure: str
    value: float
    nothing: float | None
    floor: float | None
    settings: int
    untried: int
    rows: list[Row]
    losses: list[Held]
    loses_with_more: list[Held]
    unpaired: int
    widened: str


def advise(
    rows: Sequence[Row], request: str, data: str, sure: str, regime: str | None = None, model: str | None = None
) -> Advice:
    """What to take on settings like these.

    A method is held against MU-Mis on the settings that both ran in, and there on the training seeds that both have
    (on all of each where they share none). MU-Mis stands there with as much of what is at hand as is best in the mean,
    of whichever study with the same models a row is. It is taken if it is better in the mean over these settings by
    more than two retrained models differ, and nothing else is better by more. Controls are never taken, nor is a method
    that spoils the answers: see [`spoils`].

    Args:
        rows: of [`read_results`].
        request: one of `REQUESTS`.
        data: what is at hand, one of `DATA`.
        sure: by what it is judged, one of `SURE`.
        regime: how the model was trained, one of `REGIMES`; None: any.
        model: the beginning of a model's name in the rows, such as `"vit"`; None: any.

    Raises:
        UnlearningError: nothing like it was measured.
    """
    key, figure = SURE[sure]
    found, widened = _like(rows, request, sure, regime, model)
    by_setting: dict[Setting, dict[tuple[str, str], Row]] = {}
    for row in found:
        by_setting.setdefault((row["source"], *_setting(row)), {})[(row["method"], row["needs"])] = row
    ours = _best_of_ours(found, list(by_setting), data, key)
    floor = _mean([_value(each[FLOOR, "forget"], key) for each in by_setting.values() if (FLOOR, "forget") in each])
    contestants = {
        (row["method"], row["needs"])
        for row in found
        if row["method"] not in (FLOOR, *CONTROLS) and DATA.index(row["needs"]) <= DATA.index(data)
    }
    # Another study's row counts once, where it stands.
    best, lead, shared = OURS, 0.0, [setting for setting, mine in ours.items() if mine["source"] == setting[0]]
    for method, needs in sorted(contestants):
        both = [setting for setting in ours if (method, needs) in by_setting[setting]]
        if (
            not both
            or method == OURS
            or any(spoils(by_setting[each][method, needs], by_setting[each]) for each in both)
        ):
            continue
        ahead = statistics.mean(held_against(by_setting[each][method, needs], ours[each], sure).lead for each in both)
        if ahead > max(lead, floor or 0.0):
            best, lead, shared, needed = method, ahead, both, needs
    chosen = [ours[each] if best == OURS else by_setting[each][best, needed] for each in shared]
    some = [by_setting[each] for each in shared]
    idle = [
        held_against(each[NOTHING, "forget"], row, sure).theirs
        for each, row in zip(some, chosen, strict=True)
        if (NOTHING, "forget") in each
    ]
    losses, more = _losses(by_setting, ours, sure, data)
    places = {setting[1:] for setting in shared}
    return Advice(
        method=best,
        figure=figure,
        value=statistics.mean(_value(row, key) for row in chosen),
        nothing=_mean(idle),
        floor=_mean([_value(row, key) for row in found if row["method"] == FLOOR and _setting(row) in places]),
        settings=len(places),
        untried=len({setting[1:] for setting in ours} - places),
        rows=chosen,
        losses=losses,
        loses_with_more=more,
        unpaired=sum(not held_against(row, ours[each], sure).seeds for row, each in zip(chosen, shared, strict=True)),
        widened=widened,
    )


def value_of(row: Row, sure: str) -> float:
    """The figure of a row that counts, the mean over its seeds: lower is better."""
    return _value(row, SURE[sure][0])


def seeds_of(row: Row, sure: str) -> tuple[int, ...]:
    """The training seeds that the figure of a row was measured with."""
    return tuple(_values(row, SURE[sure][0]))


def held_against(row: Row, ours: Row, sure: str) -> Held:
    """Two rows of one setting on the seeds that both have."""
    return _against(row, ours, SURE[sure][0])


def _against(row: Row, ours: Row, key: str) -> Held:
    theirs, mine = _values(row, key), _values(ours, key)
    seeds = tuple(seed for seed in theirs if seed in mine)
    means = [statistics.mean(values[seed] for seed in seeds or values) for values in (theirs, mine)]
    return Held(row, ours, means[0], means[1], seeds)


def spoils(row: Row, there: Mapping[tuple[str, str], Row]) -> bool:
    """Whether a method leaves the answers farther from the retrained model's than doing nothing does.

    By more than two retrained models differ, or, on the test samples that are not concerned, by more than `SPOILT`
    points. No attack tells a forget sample that is answered wrongly from others, and no probe finds a class in features
    that are ruined, so that by membership and depth such a method would look best.

    Args:
        there: the rows of the same setting, by method and the data that it takes.
    """
    idle, floor = there.get((NOTHING, "forget")), there.get((FLOOR, "forget"))
    if idle is None:
        return False
    if "remaining" in row and "remaining" in idle:
        lost = _against(row, idle, "remaining")
        if lost.theirs - lost.mine > SPOILT:
            return True
    return -held_against(row, idle, "accuracy").lead > (0.0 if floor is None else value_of(floor, "accuracy"))


def _like(rows: Sequence[Row], request: str, sure: str, regime: str | None, model: str | None) -> tuple[list[Row], str]:
    """The rows of settings like these, and what was left out of account."""
    nearest = _KINDS[request][0]
    measured = [row for row in rows if _kind(row) in _KINDS[request][-1] and SURE[sure][0] in row]
    measured = [row for row in measured if any(_is_ours(each, row) for each in measured)]
    # The regime is worth the most, and the kind of model the least.
    widths = itertools.product((regime, None), _KINDS[request], (model, None))
    for wanted, kinds, name in dict.fromkeys(widths):
        found = [
            row
            for row in measured
            if wanted in (None, row["regime"])
            and _kind(row) in kinds
            and (name is None or row["model"].startswith(name))
        ]
        if found:
            wider = [
                (f"models that are {regime}", regime is not None and wanted is None),
                (_CALLED.get(request, ""), kinds != nearest),
                (f"a {model}", model is not None and name is None),
            ]
            return found, " or ".join(text for text, left_out in wider if left_out)
    raise UnlearningError(
        f"no result has a figure of {sure} for requests of kind {request!r}; expected another --sure, or --request"
    )


def _kind(row: Row) -> str:
    """`"random"` of `"random:5%"`."""
    return row["request"].partition(":")[0].partition(",")[0]


def _is_ours(row: Row, other: Row) -> bool:
    return row["method"] == OURS and _setting(row) == _setting(other)


def _setting(row: Row) -> Setting:
    """What was run on, whichever study did."""
    return tuple(row[name] for name in ("regime", "dataset", "model", "request"))


def _best_of_ours(rows: Sequence[Row], settings: list[Setting], data: str, key: str) -> dict[Setting, Row]:
    """MU-Mis by setting, with as much of the data at hand as makes it best in the mean: nobody has to use all of it."""
    levels = [
        {setting: mine for setting in settings if (mine := _ours(rows, setting, level)) is not None}
        for level in DATA[: DATA.index(data) + 1]
    ]
    shared = [setting for setting in settings if all(setting in level for level in levels if level)]

    def mean(level: dict[Setting, Row]) -> float:
        return statistics.mean(_value(level[setting], key) for setting in shared or level)

    return min((level for level in levels if level), key=mean, default={})


def _ours(rows: Sequence[Row], setting: Setting, data: str) -> Row | None:
    """MU-Mis with the most data of what is at hand; where several studies have it, by the one of the `setting`.

    Another study's row stands in only if it is of the same models, by what doing nothing came to in both.
    """
    here = [row for row in rows if _setting(row) == setting[1:]]
    idle = {row["source"]: _values(row, "gap") for row in here if row["method"] == NOTHING}
    able = [
        row
        for row in here
        if row["method"] == OURS
        and DATA.index(row["needs"]) <= DATA.index(data)
        and (row["source"] == setting[0] or _same(idle.get(row["source"], {}), idle.get(setting[0], {})))
    ]
    return max(able, key=lambda row: (DATA.index(row["needs"]), row["source"] == setting[0]), default=None)


def _same(gaps: dict[int, float], others: dict[int, float]) -> bool:
    """Whether gaps of doing nothing, by seed, are of the same models."""
    both = gaps.keys() & others.keys()
    return bool(both) and all(abs(gaps[seed] - others[seed]) <= SAME_MODELS for seed in both)


def _losses(
    by_setting: dict[Setting, dict[tuple[str, str], Row]], ours: dict[Setting, Row], sure: str, data: str
) -> tuple[list[Held], list[Held]]:
    """The best method of each setting in which MU-Mis loses, with the data at hand and with more."""
    losses: list[Held] = []
    more: list[Held] = []
    for setting, mine in ours.items():
        there = by_setting[setting]
        floor = value_of(there[FLOOR, "forget"], sure) if (FLOOR, "forget") in there else 0.0
        held = [
            held_against(row, mine, sure)
            for (method, _), row in there.items()
            if method not in (OURS, FLOOR, *CONTROLS) and not spoils(row, there)
        ]
        for within, into in ((True, losses), (False, more)):
            better = [
                each
                for each in held
                if each.lead > floor and (DATA.index(each.row["needs"]) <= DATA.index(data)) == within
            ]
            if better:
                into.append(max(better, key=lambda each: each.lead))
    return losses, more


def _values(row: Row, key: str) -> dict[int, float]:
    """A figure by seed; lower is better."""
    found = {seed: value for seed, value in zip(row["seeds"], row[key], strict=True) if value is not None}
    return {seed: abs(100.0 - value) if key == "depth" else float(value) for seed, value in found.items()}


def _value(row: Row, key: str) -> float:
    return statistics.mean(_values(row, key).values())


def _mean(values: list[float]) -> float | None:
    return statistics.mean(values) if values else None
