"""Which method to take, from measured rows: one on settings like the user's, and what it lost and won there."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

Row = dict[str, Any]
Setting = tuple[str, ...]


def read_results() -> list[Row]:
    """The rows that travel with the package: see scripts/make_suggestions.py."""
    return json.loads((Path(__file__).parent / "suggest_rows.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Advice:
    """What to take, and why.

    Attributes:
        method: its name; `"do nothing"` where nothing does better than that.
        figure: what was compared, in words.
        value, nothing, floor: means over the settings of that figure: of the method, of doing nothing, and of another
            retrained model; None where it was not measured.
        settings: how many; one that several studies ran counts once.
        rows: of the method, one for each setting of each study.
        losses: settings in which a method that takes no more data is better than MU-Mis by more than the floor: that
            method's row, and MU-Mis' row.
        loses_with_more: the same for methods that take more data than is at hand.
        widened: what was left out of account, since no setting had it, in words.
    """

    method: str
    figure: str
    value: float
    nothing: float | None
    floor: float | None
    settings: int
    rows: list[Row]
    losses: list[tuple[Row, Row]]
    loses_with_more: list[tuple[Row, Row]]
    widened: str


def advise(
    rows: Sequence[Row], request: str, data: str, sure: str, regime: str | None = None, model: str | None = None
) -> Advice:
    """What to take on settings like these.

    A method is held against MU-Mis on the settings that both ran in. It is taken if it is better there in the mean by
    more than two retrained models differ, and nothing else is better by more. Controls are never taken.

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
        by_setting.setdefault(_setting(row), {})[(row["method"], row["needs"])] = row
    ours = {setting: mine for setting, each in by_setting.items() if (mine := _ours(each, data)) is not None}
    floor = _mean([_value(each[FLOOR, "forget"], key) for each in by_setting.values() if (FLOOR, "forget") in each])
    contestants = {
        (row["method"], row["needs"])
        for row in found
        if row["method"] not in (FLOOR, *CONTROLS) and DATA.index(row["needs"]) <= DATA.index(data)
    }
    best, lead, shared = OURS, 0.0, list(ours)
    for method, needs in sorted(contestants):
        both = [setting for setting in ours if (method, needs) in by_setting[setting]]
        if not both or method == OURS:
            continue
        ahead = statistics.mean(_value(ours[each], key) - _value(by_setting[each][method, needs], key) for each in both)
        if ahead > max(lead, floor or 0.0):
            best, lead, shared, needed = method, ahead, both, needs
    chosen = [ours[each] if best == OURS else by_setting[each][best, needed] for each in shared]
    some = [by_setting[each] for each in shared]
    losses, more = _losses(by_setting, ours, key, data)
    return Advice(
        method=best,
        figure=figure,
        value=statistics.mean(_value(row, key) for row in chosen),
        nothing=_mean([_value(each[NOTHING, "forget"], key) for each in some if (NOTHING, "forget") in each]),
        floor=_mean([_value(each[FLOOR, "forget"], key) for each in some if (FLOOR, "forget") in each]),
        settings=len({setting[1:] for setting in shared}),
        rows=chosen,
        losses=losses,
        loses_with_more=more,
        widened=widened,
    )


def value_of(row: Row, sure: str) -> float:
    """The figure of a row that counts: lower is better."""
    return _value(row, SURE[sure][0])


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
    return tuple(row[name] for name in ("source", "regime", "dataset", "model", "request"))


def _ours(rows: dict[tuple[str, str], Row], data: str) -> Row | None:
    """MU-Mis with the most data of what is at hand."""
    able = [needs for needs in DATA[: DATA.index(data) + 1] if (OURS, needs) in rows]
    return rows[OURS, able[-1]] if able else None


def _losses(
    by_setting: dict[Setting, dict[tuple[str, str], Row]], ours: dict[Setting, Row], key: str, data: str
) -> tuple[list[tuple[Row, Row]], list[tuple[Row, Row]]]:
    """The best method of each setting in which MU-Mis loses, with the data at hand and with more."""
    losses: list[tuple[Row, Row]] = []
    more: list[tuple[Row, Row]] = []
    for setting, mine in ours.items():
        there = by_setting[setting]
        floor = _value(there[FLOOR, "forget"], key) if (FLOOR, "forget") in there else 0.0
        better = [
            row
            for (method, _), row in there.items()
            if method not in (OURS, FLOOR, *CONTROLS) and _value(row, key) < _value(mine, key) - floor
        ]
        for within, into in ((True, losses), (False, more)):
            some = [row for row in better if (DATA.index(row["needs"]) <= DATA.index(data)) == within]
            if some:
                into.append((min(some, key=lambda row: _value(row, key)), mine))
    return losses, more


def _value(row: Row, key: str) -> float:
    return abs(100.0 - row[key]) if key == "depth" else float(row[key])


def _mean(values: list[float]) -> float | None:
    return statistics.mean(values) if values else None
