"""`hf-unlearn evaluate`: a model, beside the original and a retrained one, on the splits of a request."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_unlearn.commands.arguments import (
    ForgetSetArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    TestSetArguments,
    UnlearningDataArguments,
    flag,
)
from hf_unlearn.commands.evaluate_earlier import evaluate_earlier, evaluate_together, flags_of_last, lines_of
from hf_unlearn.commands.forget_set import check_forget_set, described, load_forget_set
from hf_unlearn.commands.loading import cache_lines, load_splits, pin
from hf_unlearn.commands.output_folder import check_folder, check_output_dir, no_empty_folder
from hf_unlearn.commands.parsing import is_first_process, parse, say
from hf_unlearn.commands.request_flags import has_request, make_request
from hf_unlearn.errors import UnlearningError
from hf_unlearn.evaluation.limits import LEVELS, MOST_RETAINED_SAMPLES, check_settings
from hf_unlearn.files import RECORD_NAME, REPORT_NAME, RESULTS_NAME, expand_user
from hf_unlearn.ledger.queue import queue_of

if TYPE_CHECKING:
    from hf_unlearn.evaluation.report.results import Comparison
    from hf_unlearn.request import UnlearningSplits

DESCRIPTION = (
    "How well a model forgot a request: accuracies, distances to models retrained without the forget set, membership "
    "attacks, input sensitivities, relearning and the depth, beside the original model. Prints a table, writes "
    "results.json and report.html. The report shows forget samples: it is for your eyes."
)


@dataclass
class EvaluationArguments:
    """Beside what, and where to"""

    original_model: str | None = flag(
        "The model before unlearning (default: the one from the Hub that unlearning.json names, as it was then)."
    )
    original_revision: str | None = flag("Its branch, tag or commit on the Hub (default: the one of unlearning.json).")
    reference_model: list[str] | None = flag(
        "Models retrained without the forget set, one to four, of different seeds: the target."
    )
    level: str = flag(
        "fast: from one pass a model and split; standard: everything but the depth; deep: everything.",
        "standard",
        choices=list(LEVELS),
    )
    output_dir: str | None = flag("Where the results go (default: the model's folder, else here).")
    cache_dir: str | None = flag(
        "Where logits are kept for the next call (default: HF_UNLEARN_CACHE, or hf_unlearn in the Hub's cache)."
    )
    max_retain_samples: int = flag(
        "Look at no more retained samples than these, drawn by the seed; 0: at all.", MOST_RETAINED_SAMPLES
    )
    seed: int = flag("Of everything drawn.", 0)
    per_device_eval_batch_size: int = flag("Samples a step.", 256)
    other_request: bool = flag(
        "Judge the model on another request than it was made for, which is an error otherwise. Its record and card are "
        "left as they are.",
        False,
    )
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
    references = flags.reference_model or []
    check_settings(flags.level, references, flags.per_device_eval_batch_size, flags.max_retain_samples, flags.seed)
    name = model_flags.model_name_or_path
    if data.dataset_name is None and forget_flags.forget_dataset is None and not has_request(request_flags):
        given = (data, request_flags, forget_flags, test_flags)
        data, request_flags, forget_flags, test_flags = flags_of_last(name, given)
    alone = check_forget_set(data, request_flags, forget_flags, test_flags)
    request = None if alone else make_request(request_flags)
    folder = flags.output_dir or (name if os.path.isdir(name) else ".")
    check_output_dir(folder, overwrite=True)
    cache_dir = flags.cache_dir or default_cache_dir()
    if is_first_process():
        check_folder(cache_dir, "cache_dir")
    path = os.path.join(folder, RESULTS_NAME)
    pin(model_flags, data, forget_flags, others=[*references, *filter(None, [flags.original_model])])
    original: Any = flags.original_model
    loading = {each: getattr(model_flags, each) for each in ("dtype", "trust_remote_code", "allow_pickle")}

    def load_original() -> Any:
        """The model that says what unlabelled samples are of."""
        from hf_unlearn.evaluation.loading import as_contestant, original_of, record_of

        nonlocal original
        found = original_of(original, flags.original_revision, record_of(name, model_flags.model_revision))
        if found is None:
            raise UnlearningError(
                f"forget_label {forget_flags.forget_label!r} asks the model before unlearning, and which that was is "
                "not known; expected --original_model, or the name of their class"
            )
        original = as_contestant(found[0], "original", revision=found[1], **loading)
        return original.model, original.image_processor

    if request is None:
        splits = load_forget_set(data, forget_flags, test_flags, load_original)
    else:
        splits = load_splits(data, request, test_flags)
    if os.path.exists(path) and not output.overwrite_output_dir and _fingerprint_in(path) != splits.fingerprint.id:
        raise UnlearningError(
            f"{path!r} exists and is of another request; expected another --output_dir, or --overwrite_output_dir"
        )

    from hf_unlearn.evaluation.comparison import compare
    from hf_unlearn.evaluation.loading import record_of
    from hf_unlearn.publishing.record import read_record

    if os.path.isfile(os.path.join(name, RECORD_NAME)):
        # One that cannot be read is found before the work.
        read_record(name)
    queued, no_queue = None, ""
    try:
        queued = queue_of(name, on_the_way=True)
    except UnlearningError as error:
        # A run that failed, a copy: the model can be judged all the same.
        no_queue = f"No figures of each request, because {error}"
    control, why_not = None, ""
    if flags.level == "deep":
        original, control, why_not = _head_only(name, model_flags.model_revision, original, flags, splits, loading)

    def judge(splits: UnlearningSplits, other_request: bool = True, head_only: Any = None) -> Comparison:
        return compare(
            name,
            splits=splits,
            original=original,
            references=references,
            level=flags.level,
            revision=model_flags.model_revision,
            original_revision=flags.original_revision,
            **loading,
            batch_size=flags.per_device_eval_batch_size,
            device="cpu" if flags.use_cpu else None,
            cache_dir=cache_dir,
            max_retain_samples=flags.max_retain_samples,
            seed=flags.seed,
            other_request=other_request,
            head_only=head_only,
        )

    results = judge(splits, flags.other_request, control)
    if why_not:
        results["left_out"]["head only"] = why_not
    record = record_of(name, model_flags.model_revision)
    if results.same_request and record.get("earlier"):
        results["earlier"] = evaluate_earlier(queued, record, data, test_flags, judge)
    if results.same_request:
        results["together"] = evaluate_together(queued, judge)
    if not is_first_process():
        return
    # Before it is saved: if the disk is full, the work was not for nothing.
    said = lines_of(results.get("earlier", [])) + lines_of(results.get("together", []))
    if no_queue:
        said.append(no_queue)
    say(f"Forget request: {described(splits, data, forget_flags)}", *cache_lines(), str(results), *said)
    with no_empty_folder(folder):
        results.save(folder)
    say(
        *_keep_in_record(name, results),
        f"Saved {path} and {REPORT_NAME}, which shows forget samples and is not for publishing",
    )


def _head_only(
    name: str,
    revision: str | None,
    original: Any,
    flags: EvaluationArguments,
    splits: UnlearningSplits,
    loading: dict[str, Any],
) -> tuple[Any, Any, str]:
    """The control *head only*: the original (loaded, where it was known by name), the control, and else why not.

    Raises:
        UnlearningError: the model was made for another request, or the original that was named cannot be loaded.
    """
    from accelerate import PartialState

    from hf_unlearn.evaluation.loading import as_contestant, check_request, original_of, record_of
    from hf_unlearn.trainers.head_only import unlearn_head_only

    record = record_of(name, revision)
    found = original_of(original, flags.original_revision, record)
    if check_request(name, "unlearned", record, splits, flags.other_request) is False:
        return original, None, "the model was made for another request"
    if not record:
        return original, None, "there is no record of the run beside the model"
    if found is None:
        return original, None, "the original model is not known"
    if PartialState(cpu=flags.use_cpu).num_processes > 1:
        return original, None, "it is run by one process only"
    try:
        before = as_contestant(found[0], "original", revision=found[1], **loading)
    except UnlearningError as error:
        if original is not None:
            raise
        return None, None, f"the original model that the record names cannot be had: {error}"
    try:
        model = unlearn_head_only(record, before.model, before.image_processor, splits, flags.use_cpu)
    except UnlearningError as error:
        return before, None, str(error)
    return before, before._replace(model=model), ""


def _keep_in_record(model: str, results: Comparison) -> list[str]:
    """Put the results into the record of the model's folder and into its card, if it is a record of this request.

    Returns:
        What to tell of it.
    """
    from hf_unlearn.publishing.card import record_evaluation

    if not os.path.isfile(os.path.join(model, RECORD_NAME)):
        return []
    try:
        record_evaluation(model, results)
    except UnlearningError as error:
        return [f"The record and card in {model} are left as they are: {error}"]
    return [f"The record and card in {model} have these figures, too"]


def default_cache_dir() -> str:
    """Where logits are kept unless the user says otherwise."""
    from huggingface_hub.constants import HF_HOME

    return expand_user(os.environ.get("HF_UNLEARN_CACHE") or os.path.join(HF_HOME, "hf_unlearn"))


def _fingerprint_in(path: str) -> str | None:
    """The request that results are of; None where the file tells of none."""
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
    except (OSError, ValueError):
        return None
    return held.get("fingerprint") if isinstance(held, dict) else None
