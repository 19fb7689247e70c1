"""`hf-unlearn evaluate`: a model, beside the original and a retrained one, on the splits of a request."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_unlearn.commands.arguments import (
    DataArguments,
    ModelArguments,
    OutputArguments,
    RequestArguments,
    flag,
)
from hf_unlearn.commands.common import (
    RECORD_NAME,
    RESULTS_NAME,
    check_output_dir,
    load_model,
    load_splits,
    make_request,
    quiet_unless_terminal,
)
from hf_unlearn.commands.parsing import is_first_process, parse, say
from hf_unlearn.errors import UnlearningError

DESCRIPTION = (
    "Accuracies on the forget, retain and test set of a request, for a model and, where there are, for the original "
    "it came from and for one retrained without the forget set. Prints a table and writes results.json."
)


@dataclass
class EvaluationArguments:
    """Beside what, and where to"""

    original_model: str | None = flag(
        "The model before unlearning (default: the one from the Hub that unlearning.json names)."
    )
    reference_model: str | None = flag("A model retrained without the forget set: the target.")
    output_dir: str | None = flag("Where results.json goes (default: the model's folder, else here).")
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
    model_flags, data, request_flags, output, flags = parse(
        "evaluate",
        DESCRIPTION,
        (EvaluatedModelArguments, DataArguments, RequestArguments, OutputArguments, EvaluationArguments),
        None,
        None,
        argv or (),
    )
    if flags.per_device_eval_batch_size < 1:
        raise UnlearningError(f"per_device_eval_batch_size is {flags.per_device_eval_batch_size}; expected at least 1")
    request = make_request(request_flags)
    name = model_flags.model_name_or_path
    folder = flags.output_dir or (name if os.path.isdir(name) else ".")
    check_output_dir(folder, overwrite=True)
    path = os.path.join(folder, RESULTS_NAME)
    quiet_unless_terminal()
    splits = load_splits(data, request)
    if os.path.exists(path) and not output.overwrite_output_dir and _fingerprint_in(path) != splits.fingerprint.id:
        raise UnlearningError(
            f"{path!r} exists and is of another request; expected another --output_dir, or --overwrite_output_dir"
        )

    import torch

    from hf_unlearn.evaluation.comparison import compare
    from hf_unlearn.evaluation.predict import Contestant
    from hf_unlearn.evaluation.table import comparison_table

    names = {"original": flags.original_model or _recorded_original(name), "unlearned": name}
    if flags.reference_model is not None:
        names["retrained"] = flags.reference_model
    contestants = {}
    for role, contestant in names.items():
        if contestant is None:
            continue
        revision = model_flags.model_revision if role == "unlearned" else None
        loaded = ModelArguments(contestant, revision, model_flags.dtype, model_flags.trust_remote_code)
        contestants[role] = Contestant(contestant, *load_model(loaded))
    device = "cuda" if torch.cuda.is_available() and not flags.use_cpu else "cpu"
    results = compare(contestants, splits, batch_size=flags.per_device_eval_batch_size, device=device)
    if is_first_process():
        os.makedirs(folder, exist_ok=True)
        write_results(results, path)
    say(
        f"Forget request: {splits.request.describe()} of {data.dataset_name}",
        comparison_table(results),
        f"Saved {path}",
    )


def write_results(results: dict[str, Any], path: str) -> None:
    """Write `results` as JSON, whole or not at all."""
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2, ensure_ascii=False)
        file.write("\n")
    os.replace(f"{path}.part", path)


def _fingerprint_in(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _recorded_original(model_name: str) -> str | None:
    """The original model that an unlearned model's record names, if it is one of the Hub's."""
    try:
        with open(os.path.join(model_name, RECORD_NAME), encoding="utf-8") as file:
            original = json.load(file)["original_model"]
        return original["name"] if original["from_hub"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
