"""The comparison as one HTML file that needs nothing else: for the eyes of whoever holds the data, never published."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from hf_unlearn.data.spacing import evenly_spaced
from hf_unlearn.evaluation.metrics.divergences import log_softmax
from hf_unlearn.evaluation.report.figures import TITLES, as_svg, draw_plots
from hf_unlearn.evaluation.report.rows import ARROWS
from hf_unlearn.evaluation.report.table import HEADINGS, LEGEND, cells, findings, shown_rows
from hf_unlearn.evaluation.report.verdict import verdict_of
from hf_unlearn.files import write_text
from hf_unlearn.request import UnlearningSplits
from hf_unlearn.request.image_modes import as_mode

TEMPLATE = "report.html.jinja"
FRAGMENT = "fragment.html.jinja"
STRIP_SAMPLES = 12
STRIP_PIXELS = 96


def write_report(results: Mapping[str, Any], path: str, strip: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write `results` of [`compare_models`] as a page, whole or not at all.

    Args:
        strip: from [`forget_strip`]; it shows forgotten samples, so the page is for local use only.
    """
    plots = {name: as_svg(plot, name) for name, plot in draw_plots(results).items()}
    # They come in the order of what they say.
    first = next(iter(plots), None)
    picture = None if first is None else {"title": TITLES[first], "name": first, "svg": plots.pop(first)}
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            **_shown(results),
            request=describe(results["request"]),
            verdict=verdict_of(results),
            picture=picture,
            plots=[{"title": TITLES[name], "name": name, "svg": svg} for name, svg in plots.items()],
            strip=strip,
        )
    )
    write_text(page, path)


def _shown(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates say of the figures."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in shown_rows(results):
        line = {"title": row.title, "arrow": ARROWS[row.good], "good": row.good, "meaning": row.meaning}
        groups.setdefault(row.group, []).append({**line, "cells": cells(results, row)})
    return {
        "results": results,
        "headings": [*(HEADINGS[role] for role in results["models"]), "target"],
        "groups": groups,
        "legend": LEGEND,
        "findings": findings(results),
    }


def as_fragment(results: Mapping[str, Any]) -> str:
    """The findings and the table as HTML, for a notebook."""
    return _environment().get_template(FRAGMENT).render(**_shown(results))


def forget_strip(
    logits: Mapping[str, np.ndarray], names: Sequence[str], splits: UnlearningSplits, count: int = STRIP_SAMPLES
) -> list[dict[str, Any]]:
    """Some forget samples, evenly spaced: the image as a data URI, its label, each model's answer and its share.

    Args:
        logits: of each model on the forget set, `(samples, num_labels)`.
        names: of the columns.
    """
    rows = evenly_spaced(len(splits.forget), count)
    some = splits.forget.select(rows)
    answers: dict[str, list[str]] = {}
    for role, values in logits.items():
        shares = np.exp(log_softmax(values[rows]))
        answers[role] = [f"{names[share.argmax()]} {100 * share.max():.0f} %" for share in shares]
    return [
        {
            "image": data_uri(some[row][splits.image_column]),
            "label": splits.label_names[label],
            "answers": {HEADINGS.get(role, role): said[row] for role, said in answers.items()},
        }
        for row, label in enumerate(some[splits.label_column])
    ]


def describe(request: Mapping[str, Any]) -> str:
    """A request's public form in words."""
    rest = {name: value for name, value in request.items() if name != "kind" and value not in (None, [], {})}
    shown = ", ".join(f"{name.replace('_', ' ')}: {_as_text(value)}" for name, value in rest.items())
    return f"{str(request['kind']).replace('_', ' ')} ({shown})" if shown else str(request["kind"])


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} = {_as_text(part)}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def data_uri(image: Any, pixels: int = STRIP_PIXELS) -> str:
    """An image of PIL's as the source of an `<img>`, at most so many pixels wide and high."""
    image = as_mode(image, "RGB")
    image.thumbnail((pixels, pixels))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _environment() -> jinja2.Environment:
    # Class names come from a dataset: nothing in them is HTML.
    loader = jinja2.PackageLoader("hf_unlearn", "evaluation/report")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
