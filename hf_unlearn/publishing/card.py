"""The model card, made from a run's record alone: nothing in it is typed by hand."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

import hf_unlearn
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.report.figures import TITLES, draw_plots
from hf_unlearn.evaluation.report.rows import ARROWS, ROWS
from hf_unlearn.evaluation.report.table import HEADINGS, LEGEND, cells, findings, shown_rows
from hf_unlearn.files import CARD_NAME, PLOTS, RECORD_NAME, replacing, write_text
from hf_unlearn.publishing.record import add_evaluation, read_record, request_met, write_record

if TYPE_CHECKING:
    from hf_unlearn.evaluation.report.results import Comparison

TEMPLATE = "card.md.jinja"
TAGS = ["machine-unlearning", "unlearning", "hf_unlearn"]
# Settings that a reader of a card asks for; all of them are in the record.
SHOWN_SETTINGS = (
    *("objective", "sensitivity_weight", "guard_weight", "surroundings_weight", "label_shift", "learning_rate"),
    *("step_rule", "lr_scheduler_type", "per_device_train_batch_size", "max_steps", "stop_rule", "seed"),
)
_FLAGS = {
    "class": ("forget_classes", "classes"),
    "subclass": ("forget_subclasses", "subclasses"),
    "fraction": ("forget_fraction", "fraction"),
    "count": ("forget_count", "count"),
    "dataset_config": ("forget_dataset_config", "dataset_config"),
    "split": ("forget_split", "split"),
}


def write_card(folder: str, repo_id: str | None = None) -> None:
    """Make the card and the plots of `folder` anew, from its record.

    Args:
        repo_id: where the model is or will be on the Hub, for the snippet.

    Raises:
        UnlearningError: the folder holds no record.
    """
    record = read_record(folder)
    plots: list[str] = []
    if record["evaluation"] is not None:
        os.makedirs(os.path.join(folder, PLOTS), exist_ok=True)
        for name, plot in draw_plots(record["evaluation"]).items():
            with replacing(os.path.join(folder, PLOTS, f"{name}.png")) as part:
                # The same plot gives the same bytes.
                plot.savefig(part, format="png", dpi=110, metadata={"Software": None})
            plots.append(name)
    text = render_card(record, repo_id or os.path.basename(os.path.abspath(folder)), plots)
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
    """The card of a record as text, YAML header included.

    Args:
        repo_id: what the snippet loads.
        plots: names of plots that lie beside the card.
    """
    data = card_data(record, repo_id)
    evaluation = record["evaluation"]
    rows: list[dict[str, Any]] = []
    headings: list[str] = []
    if evaluation is not None:
        headings = [*(HEADINGS[role] for role in evaluation["models"]), "target"]
        rows = [
            {"title": row.title, "arrow": ARROWS[row.good], "group": row.group, "cells": cells(evaluation, row)}
            for row in shown_rows(evaluation)
        ]
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
            in_progress=record.get("in_progress", False),
            headings=headings,
            rows=rows,
            legend=LEGEND,
            findings=findings(evaluation) if evaluation is not None else [],
            met=met,
            why=why,
            others_seen=_others_seen(record),
            plots=[{"name": name, "title": TITLES[name]} for name in plots or []],
            settings={name: chosen[name] for name in SHOWN_SETTINGS if chosen.get(name) is not None},
            command=reproduction(record),
            record_name=RECORD_NAME,
            library_version=hf_unlearn.__version__,
        )
    )
    return str(ModelCard(text))


def card_data(record: Mapping[str, Any], repo_id: str) -> ModelCardData:
    """The card's YAML header."""
    original, dataset = record["original_model"], record["dataset"] or {}
    results = _eval_results(record)
    fields: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": [*TAGS, record["method"]["name"].replace("_", "-")],
        "license": original["license"],
        "datasets": [dataset["name"]] if dataset.get("from_hub") else None,
    }
    adapter = record.get("adapter")
    # An adapter belongs to its base, whichever adapter it was made from; a whole model was made from another.
    base, relation = (adapter["base_model"], "adapter") if adapter else (original, "finetune")
    if base["from_hub"]:
        fields.update(base_model=base["name"], base_model_relation=relation)
    if adapter:
        fields["library_name"] = "peft"
        fields["tags"] = [*fields["tags"], adapter["kind"].lower()]
    return ModelCardData(model_name=repo_id.split("/")[-1], eval_results=results or None, **fields)


def reproduction(record: Mapping[str, Any]) -> str:
    """The command that does it again; what may not be published stands in it in capitals."""
    original, dataset, request = record["original_model"], record["dataset"] or {}, record["request"] or {}
    words = ["hf-unlearn", "unlearn", "--model_name_or_path", original["name"]]
    if original["from_hub"] and original["revision"]:
        words += ["--model_revision", original["revision"]]
    kind = request.get("kind")
    place = "forget_dataset" if kind == "samples" else "dataset"
    name = "--forget_dataset" if kind == "samples" else "--dataset_name"
    words += [name, dataset.get("name") or "DATASET"]
    if dataset.get("dataset_config_name"):
        words += [f"--{place}_config_name", dataset["dataset_config_name"]]
    if dataset.get("from_hub"):
        words += [f"--{place}_revision", dataset["revision"]]
    if dataset.get("label_column", "label") not in ("label", "labels"):
        words += ["--label_column_name", dataset["label_column"]]
    if mapping := dataset.get("label_mapping"):
        words += ["--label_mapping", "LABEL_MAPPING.json" if mapping == "given" else mapping]
    if kind in _FLAGS:
        flag, name = _FLAGS[kind]
        values = request[name] if isinstance(request[name], list) else [request[name]]
        words += [f"--{flag}={value}" for value in values if str(value).startswith("-")]
        plain = [str(value) for value in values if not str(value).startswith("-")]
        words += [f"--{flag}", *plain] if plain else []
    elif kind == "samples":
        words += ["--forget_kind", request["samples"]]
        # Of samples that others stay beside, the label may say whose they are.
        given = {"name": request.get("classes", ["LABEL"])[0], "predicted": "predicted"}.get(
            str(dataset.get("labels_from"))
        )
        words += ["--forget_label", given] if given else []
    elif kind == "where":
        words += ["--forget_where", *(f"{column}=VALUE" for column in request["columns"])]
    else:
        words += ["--forget_indices", "INDICES.json"]
    if kind == "subclass":
        words += ["--subclass_column", request["subclass_column"]]
    if kind in ("fraction", "count"):
        words += ["--forget_seed", str(request["seed"]), *(["--forget_stratify"] if request["stratify"] else [])]
    words += ["--method", record["method"]["name"], "--seed", str(record["settings"].get("seed", 42))]
    words += ["--trust_remote_code"] if record.get("trust_remote_code") else []
    return f"{shlex.join(words)} --output_dir unlearned"


def _others_seen(record: Mapping[str, Any]) -> bool:
    """Whether any figure is of other samples than those to forget."""
    if record["evaluation"] is not None:
        return len(record["evaluation"]["counts"]) > 1
    return any(name != "forget_accuracy" for name, value in record["checks"].items() if isinstance(value, Mapping))


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


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("hf_unlearn", "publishing")
    made = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    made.filters["as_markdown"] = as_markdown
    return made


def as_markdown(text: str) -> str:
    """Text that Markdown shows as it is: class names come from a dataset, and may hold anything."""
    return re.sub(r"([\\`*|\[\]<&])", r"\\\1", text)
