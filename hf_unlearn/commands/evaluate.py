"""`hf-unlearn evaluate`: a model, beside the original and a retrained one, on the splits of a request."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hf_unlearn.commands.arguments import (
    ForgetSetArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
    flag,
)
from hf_unlearn.commands.forget_set import check_forget_set, described, labels_lines, load_forget_set
from hf_unlearn.commands.loading import load_model, load_splits, pin
from hf_unlearn.commands.output_folder import check_output_dir
from hf_unlearn.commands.parsing import is_first_process, parse, say
from hf_unlearn.commands.request_flags import make_request
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import LEVELS, MOST_REFERENCES
from hf_unlearn.files import RECORD_NAME, REPORT_NAME, RESULTS_NAME, TRAIN_RESULTS_NAME, write_json

DESCRIPTION = (
    "How well a model forgot a request: accuracies, distances to models retrained without the forget set, membership "
    "attacks, input sensitivities and relearning, beside the original model. Prints a table, writes results.json and "
    "report.html. The report shows forget samples: it is for your eyes."
)


@dataclass
class EvaluationArguments:
    """Beside what, and where to"""

    original_model: str | None = flag(
        "The model before unlearning (default: the one from the Hub that unlearning.json names)."
    )
    reference_model: list[str] | None = flag(
        "Models retrained without the forget set, one to four, of different seeds: the target."
    )
    level: str = flag("fast: from one pass a model and split; standard: everything.", "standard", choices=list(LEVELS))
    output_dir: str | None = flag("Where the results go (default: the model's folder, else here).")
    cache_dir: str | None = flag(
        "Where logits are kept for the next call (default: HF_UNLEARN_CACHE, or hf_unlearn in the Hub's cache)."
    )
    max_retain_samples: int = flag("Look at no more retained samples than these, drawn by the seed; 0: at all.", 10_000)
    seed: int = flag("Of everything drawn.", 0)
    per_device_eval_batch_size: int = flag("Samples a step.", 256)
    use_cpu: bool = flag("Evaluate on the CPU even where there is a GPU.", False)


@dataclass
class EvaluatedModelArguments(ModelArguments):
    """Which model"""

    model_name_or_path: str = field(
        metadata={"help": "The unlearned model: a name on the Hub, or a folder.", "aliases": ["--model"]}
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Raises:
        UnlearningError: bad input; nothing was written.
    """
    model_flags, data, request_flags, forget_flags, test_flags, output, flags = parse(
        "evaluate",
        DESCRIPTION,
        (
            *(EvaluatedModelArguments, UnlearningDataArguments, RequestArguments, ForgetSetArguments),
            *(TestSetArguments, OutputArguments, EvaluationArguments),
        ),
        None,
        None,
        argv or (),
    )
    if flags.per_device_eval_batch_size < 1:
        raise UnlearningError(f"per_device_eval_batch_size is {flags.per_device_eval_batch_size}; expected at least 1")
    if flags.max_retain_samples < 0:
        raise UnlearningError(f"max_retain_samples is {flags.max_retain_samples}; expected 0 (all) or more")
    if flags.level not in LEVELS:
        raise UnlearningError(f"level {flags.level!r} is not one of {', '.join(LEVELS)}")
    count = len(flags.reference_model or [])
    if count > MOST_REFERENCES:
        raise UnlearningError(f"{count} reference models were given; expected at most {MOST_REFERENCES}")
    alone = check_forget_set(data, request_flags, forget_flags, test_flags)
    request = None if alone else make_request(request_flags)
    name = model_flags.model_name_or_path
    folder = flags.output_dir or (name if os.path.isdir(name) else ".")
    check_output_dir(folder, overwrite=True)
    path = os.path.join(folder, RESULTS_NAME)
    pin(model_flags, data, forget_flags)
    original = flags.original_model or _recorded_original(name)

    def load(named: str, revision: str | None = None) -> Any:
        loaded = dataclasses.replace(model_flags, model_name_or_path=named, model_revision=revision)
        # What is measured is what the model answers and how it relearns, with all its weights, as for any other.
        return load_model(loaded, merge_adapter=True)

    @cache
    def load_original() -> Any:
        if original is None:
            raise UnlearningError(
                f"forget_label {forget_flags.forget_label!r} asks the model before unlearning, and which that was is "
                "not known; expected --original_model, or the name of their class"
            )
        return load(original)

    if request is None:
        splits = load_forget_set(data, forget_flags, test_flags, load_original)
    else:
        splits = load_splits(data, request, test_flags)
    if os.path.exists(path) and not output.overwrite_output_dir and _fingerprint_in(path) != splits.fingerprint.id:
        raise UnlearningError(
            f"{path!r} exists and is of another request; expected another --output_dir, or --overwrite_output_dir"
        )

    import torch
    from accelerate import PartialState

    from hf_unlearn.evaluation.comparison import compare
    from hf_unlearn.evaluation.predict import Contestant
    from hf_unlearn.evaluation.report.html import forget_strip, write_report
    from hf_unlearn.evaluation.report.table import comparison_table, findings

    contestants = {"original": Contestant(original, *load_original())} if original is not None else {}
    contestants["unlearned"] = Contestant(name, *load(name, model_flags.model_revision))
    references = [Contestant(reference, *load(reference)) for reference in flags.reference_model or []]
    device = "cuda" if torch.cuda.is_available() and not flags.use_cpu else "cpu"
    # Started by a launcher, the processes find each other here.
    PartialState(cpu=device == "cpu")
    results = compare(
        contestants,
        splits,
        references,
        level=flags.level,
        batch_size=flags.per_device_eval_batch_size,
        device=device,
        cache_dir=flags.cache_dir or default_cache_dir(),
        seed=flags.seed,
        seconds=_recorded_seconds(name, flags.reference_model or []),
        max_retain_samples=flags.max_retain_samples,
    )
    if is_first_process():
        os.makedirs(folder, exist_ok=True)
        write_json(results, path)
        shown = {**contestants, **({"retrained": references[0]} if references else {})}
        _keep_in_record(name, results)
        write_report(results, os.path.join(folder, REPORT_NAME), forget_strip(shown, splits))
    say(
        f"Forget request: {described(splits, data, forget_flags)}",
        *labels_lines(splits),
        comparison_table(results),
        *(f"  not taken: {figure}: {reason}" for figure, reason in results["left_out"].items()),
        *findings(results),
        f"Saved {path} and {REPORT_NAME}, which shows forget samples and is not for publishing",
    )


def _keep_in_record(model: str, results: dict[str, Any]) -> None:
    """Where the model's folder has a record of the same request, the results belong into it and into its card."""
    from hf_unlearn.publishing.card import write_card
    from hf_unlearn.publishing.record import add_evaluation, read_record, write_record

    if not os.path.isfile(os.path.join(model, RECORD_NAME)):
        return
    record = read_record(model)
    if add_evaluation(record, results):
        write_record(record, model)
        write_card(model)


def default_cache_dir() -> str:
    """Where logits are kept unless the user says otherwise."""
    from huggingface_hub.constants import HF_HOME

    return os.environ.get("HF_UNLEARN_CACHE") or os.path.join(HF_HOME, "hf_unlearn")


def _recorded_seconds(model: str, references: Sequence[str]) -> dict[str, float]:
    """How long unlearning took, and retraining in the mean, as far as the folders say."""
    seconds = {}
    unlearning = _read_json(os.path.join(model, RECORD_NAME)).get("seconds")
    if isinstance(unlearning, (int, float)) and unlearning > 0:
        seconds["unlearned"] = float(unlearning)
    trainings = [_read_json(os.path.join(each, TRAIN_RESULTS_NAME)).get("train_runtime") for each in references]
    known = [float(value) for value in trainings if isinstance(value, (int, float)) and value > 0]
    if references and len(known) == len(references):
        seconds["retrained"] = sum(known) / len(known)
    return seconds


def _fingerprint_in(path: str) -> str | None:
    return _read_json(path).get("fingerprint")


def _recorded_original(model_name: str) -> str | None:
    """The original model that an unlearned model's record names, if it is one of the Hub's."""
    original = _read_json(os.path.join(model_name, RECORD_NAME)).get("original_model")
    return original["name"] if isinstance(original, dict) and original.get("from_hub") else None


def _read_json(path: str) -> dict[str, Any]:
    """What a JSON file holds, or nothing if it is not there or no object."""
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}
