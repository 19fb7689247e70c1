"""Plan, progress and outcome as HTML. All names come from elsewhere: the templates escape everything but the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from hf_unlearn.app.outcome import Outcome
from hf_unlearn.app.plan import Plan
from hf_unlearn.app.watching import Progress
from hf_unlearn.commands.terminal import seconds_as_text
from hf_unlearn.errors import printable

# A picture of a visitor's own, beside the answers to it.
SHOWN_PIXELS = 160


def _rendered(template: str, **values: Any) -> str:
    loader = jinja2.PackageLoader("hf_unlearn", "app/templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["line"] = printable
    return environment.get_template(template).render(**values)


def heading(title: str, about: str = "") -> str:
    """The top of the page."""
    return _rendered("heading.html.jinja", title=title, about=about)


def note(text: str, tone: str = "") -> str:
    """One line for a reader. `tone`: `error`, `good`, or nothing."""
    return _rendered("note.html.jinja", text=text, tone=tone)


def plan(planned: Plan, warnings: Sequence[str] = ()) -> str:
    """What is known before a run."""
    groups: dict[str, list[str]] = {}
    for what, line in planned.lines:
        groups.setdefault(what, []).append(line)
    return _rendered("plan.html.jinja", groups=groups, warnings=list(dict.fromkeys(warnings)))


def progress(now: Progress | None, waits: bool, ends: bool) -> str:
    """How far a run is.

    Args:
        waits: it is another tab's turn.
        ends: it was asked to end, and will at its next step.
    """
    stage = "Cancelling: nothing will be kept" if ends else (now.stage if now else "Beginning")
    if waits and not ends:
        stage = "Waiting: another tab is at work, and this comes after it"
    left = None if now is None or now.seconds_left is None else seconds_as_text(now.seconds_left)
    return _rendered("progress.html.jinja", stage=stage, now=now, left=left)


def outcome(found: Outcome, is_public: bool = False) -> str:
    """Verdict, picture, accuracy of each class, and some of the forget set with both models' answers.

    Args:
        is_public: for strangers: no sample is shown, and not where things lie.
    """
    from hf_unlearn.evaluation.report.figures import TITLES, as_svg, draw_plots
    from hf_unlearn.evaluation.report.table import findings
    from hf_unlearn.evaluation.report.verdict import verdict_of

    results = found.comparison
    if results is None:
        return _rendered("outcome.html.jinja", found=found, results=None, is_public=is_public)
    plots = draw_plots(results)
    name = next(iter(plots), None)
    return _rendered(
        "outcome.html.jinja",
        found=found,
        results=results,
        verdict=verdict_of(results),
        picture=None if name is None else {"title": TITLES[name], "svg": as_svg(plots[name], name)},
        classes=_classes(results["curves"]),
        split=results["curves"]["split"],
        findings=findings(results),
        strip=[] if is_public else results.strip,
        is_public=is_public,
    )


def _classes(curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each class its accuracy before and after, percent; None where there were no samples of it."""
    each = curves.get("per_class_accuracy") or {}
    if not {"original", "unlearned"} <= each.keys():
        return []
    rows = zip(curves["labels"], each["original"], each["unlearned"], strict=True)
    return [{"name": name, "before": before, "after": after} for name, before, after in rows]


def answers(found: Mapping[str, Sequence[tuple[str, float]]], path: str) -> str:
    """A picture, and what both models say of it, side by side."""
    from hf_unlearn.evaluation.report.html import data_uri
    from hf_unlearn.request.images import read_image

    source = data_uri(read_image({"bytes": None, "path": path}), SHOWN_PIXELS)
    return _rendered("answers.html.jinja", found=found, source=source)
