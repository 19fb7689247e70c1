"""The model card, made from a run's record alone: nothing in it is typed by hand."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

import hf_unlearn
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.report.figures import TITLES, any_letters, draw_plots
from hf_unlearn.evaluation.report.rows import ARROWS, ROWS
from hf_unlearn.evaluation.report.table import HEADINGS, LEGEND, cells, findings, shown_rows
from hf_unlearn.files import CARD_NAME, PLOTS, RECORD_NAME, replacing, write_text
from hf_unlearn.publishing.markup import as_block, as_code, as_markdown, as_python
from hf_unlearn.publishing.not_shown import not_shown
from hf_unlearn.publishing.record import add_evaluation, read_record, request_met, write_record
from hf_unlearn.publishing.reproduction import reproduction
from hf_unlearn.publishing.secrecy import hides_samples, published
from hf_unlearn.request.public_form import NAMED_KINDS

if TYPE_CHECKING:
    from hf_unlearn.evaluation.report.results import Comparison

TEMPLATE = "card.md.jinja"
TAGS = ["machine-unlearning", "unlearning", "hf_unlearn"]
# Settings that a reader of a card asks for; all of them are in the record.
SHOWN_SETTINGS = (
    *("objective", "sensitivity_weight", "guard_weight", "surroundings_weight", "label_shift", "learning_rate"),
    *("step_rule", "lr_scheduler_type", "per_device_train_batch_size", "max_steps", "stop_rule", "seed"),
)


def write_card(folder: str, repo_id: str | None = None, name: str | None = None) -> None:
    """Make the card and the plots of `folder` anew, from what may be published of its record.

    Args:
        repo_id: where the model is or will be on the Hub, for the name and the snippet. By default what it was the last
            time.
        name: of the model, where there is no repository; by default the folder's.

    Raises:
        UnlearningError: the folder holds no record.
    """
    record = read_record(folder)
    if repo_id is not None:
        record["hub_model_id"] = repo_id
    shown = published(record)
    drawn = draw_plots(shown["evaluation"]) if shown["evaluation"] is not None else {}
    for title, plot in drawn.items():
        os.makedirs(os.path.join(folder, PLOTS), exist_ok=True)
        with replacing(os.path.join(folder, PLOTS, f"{title}.png")) as part, any_letters():
            # The same plot gives the same bytes.
            plot.savefig(part, format="png", dpi=110, metadata={"Software": None})
    for title in TITLES.keys() - drawn.keys():
        # Of an earlier card, which may have shown more.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, PLOTS, f"{title}.png"))
    name = record.get("hub_model_id") or name or os.path.basename(os.path.abspath(folder))
    text = render_card(shown, name, list(drawn))
    write_record(record, folder)
    write_text(text, os.path.join(folder, CARD_NAME))


def record_evaluation(folder: str | os.PathLike, results: Comparison) -> None:
    """Put a comparison into the record of the model's folder, and so into its card.

    Args:
        folder: what `hf-unlearn unlearn` or a trainer's `save_model` saved.
        results: from [`compare`], of the model in that folder.

    Raises:
        UnlearningError: the folder holds no record, or not for certain one of the request that the results are of.
            Nothing was written.
    """
    folder = os.fspath(folder)
    record = read_record(folder)
    if results.folder != os.path.realpath(folder):
        raise UnlearningError(f"the results are of {results.folder!r}, not of the model in {folder!r}")
    if results.same_request is None:
        raise UnlearningError(
            f"{folder!r} does not say for certain that it is of this request, only the folder that unlearn wrote does"
        )
    if not results.same_request:
        raise UnlearningError(f"{folder!r} is of another request; expected the one that it was made for")
    add_evaluation(record, results)
    write_record(record, folder)
    write_card(folder)


def render_card(record: Mapping[str, Any], repo_id: str, plots: list[str] | None = None) -> str:
    """The card of a record as text, YAML header included. It tells no more than may be published of the record.

    Args:
        repo_id: what the snippet loads.
        plots: names of plots that lie beside the card.
    """
    hides = hides_samples(record)
    record = published(record)
    data = card_data(record, repo_id)
    evaluation = record["evaluation"]
    headings, rows = figures_of(evaluation)
    met, why = request_met(record)
    chosen = record["settings"]
    # Not ModelCard.from_template: it renders without trimming, and a blank line in a table ends the table.
    text = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            card_data=data.to_yaml(),
            model_name=data.model_name,
            repo_id=repo_id,
            record=record,
            hides=hides,
            has_checks=any(isinstance(values, Mapping) for values in record["checks"].values()),
            samples=samples_in_words(record, hides),
            in_progress=record.get("in_progress", False),
            headings=headings,
            rows=rows,
            legend=LEGEND,
            findings=findings(evaluation) if evaluation is not None and not hides else [],
            met=met,
            why=why,
            not_shown=not_shown(record, hides),
            plots=[{"name": name, "title": TITLES[name]} for name in plots or []],
            settings={name: chosen[name] for name in SHOWN_SETTINGS if chosen.get(name) is not None},
            command=as_block(reproduction(record), "bash"),
            record_name=RECORD_NAME,
            library_version=hf_unlearn.__version__,
        )
    )
    return str(ModelCard(text))


def figures_of(evaluation: Mapping[str, Any] | None) -> tuple[list[str], list[dict[str, Any]]]:
    """The table of a comparison: the headings of its columns, and its rows; both empty where there was none."""
    if evaluation is None:
        return [], []
    return [*(HEADINGS[role] for role in evaluation["models"]), "target"], [
        {"title": row.title, "arrow": ARROWS[row.good], "group": row.group, "cells": cells(evaluation, row)}
        for row in shown_rows(evaluation)
    ]


def samples_in_words(record: Mapping[str, Any], hides: bool) -> str:
    """How many samples were forgotten and stay, and what is published of which they are, in sentences."""
    number, stay = record.get("num_forget"), record.get("num_retain")
    count = f"{number:,}" if number is not None else record.get("num_forget_band") or "some"
    said = f"{count} training samples{'' if stay is None else f'; {stay:,} stay'}."
    if hides:
        return f"{said} The samples themselves, and which they are, are not published."
    kind = (record["request"] or {}).get("kind")
    if kind in NAMED_KINDS:
        return f"{said} The samples themselves are not published; whoever has the dataset knows which they are."
    return f"{said} The samples themselves are not published; whoever has the dataset can find out which they are."


def card_data(record: Mapping[str, Any], repo_id: str) -> ModelCardData:
    """The card's YAML header."""
    original, dataset = record["original_model"], record["dataset"] or {}
    results = _eval_results(record)
    fields: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": [*TAGS, record["method"]["name"].replace("_", "-")],
        **{key: original.get(key) for key in ("license", "license_name", "license_link")},
        "datasets": [dataset["name"]] if dataset.get("from_hub") else None,
    }
    adapter = record.get("adapter")
    # An adapter belongs to its base, whichever adapter it was made from; a whole model was made from another.
    first = (record.get("earlier") or [record])[0]["original_model"]
    base, relation = (adapter["base_model"], "adapter") if adapter else (first, "finetune")
    if base["from_hub"]:
        fields.update(base_model=base["name"], base_model_relation=relation)
    if adapter:
        fields["library_name"] = "peft"
        fields["tags"] = [*fields["tags"], adapter["kind"].lower()]
    return ModelCardData(model_name=repo_id.split("/")[-1], eval_results=results or None, **fields)


def _eval_results(record: Mapping[str, Any]) -> list[EvalResult]:
    """For the header's model-index: what was measured on the unlearned model."""
    dataset = record["dataset"] or {}
    name = dataset.get("name") or "unknown"
    evaluation = record["evaluation"]
    if evaluation is not None:
        figures = evaluation["models"].get("unlearned", {})
    else:
        figures = {key: value["after"] for key, value in record["checks"].items() if isinstance(value, Mapping)}
    wanted = ("forget_accuracy", "retain_accuracy", "test_accuracy", "test_accuracy_remaining", "average_gap")
    titles = {row.key: row.title for row in ROWS}
    common: dict[str, Any] = {"task_type": "image-classification", "dataset_name": name, "dataset_type": name}
    if dataset.get("from_hub"):
        common["dataset_revision"] = dataset["revision"]
    return [
        EvalResult(metric_type=key, metric_name=titles[key], metric_value=round(figures[key], 4), **common)
        for key in wanted
        if figures.get(key) is not None
    ]


@functools.cache
def _environment() -> jinja2.Environment:
    """Kept, since it keeps the template, which takes a quarter of a second to compile."""
    loader = jinja2.PackageLoader("hf_unlearn", "publishing")
    made = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    made.filters.update(as_markdown=as_markdown, as_code=as_code, as_python=as_python)
    return made
