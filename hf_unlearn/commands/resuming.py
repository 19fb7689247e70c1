"""From which checkpoint a run goes on, and whether it is that run's."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_unlearn.errors import UnlearningError
from hf_unlearn.files import RUN_NAME

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedModel, TrainingArguments

# Settings of the Trainer that may be others when a run goes on: what is computed does not depend on them.
_FREE = {
    *("overwrite_output_dir", "disable_tqdm", "use_cpu", "no_cuda", "use_cache", "debug", "skip_memory_metrics"),
    *("do_train", "do_eval", "do_predict", "report_to", "include_num_input_tokens_seen", "full_determinism"),
    *("ignore_data_skip", "restore_callback_states_from_checkpoint", "enable_jit_checkpoint", "ray_scope"),
    *("torch_empty_cache_steps", "auto_find_batch_size", "include_for_metrics", "batch_eval_metrics"),
    *("prediction_loss_only", "per_device_eval_batch_size", "load_best_model_at_end", "metric_for_best_model"),
    *("greater_is_better", "remove_unused_columns", "label_names", "length_column_name"),
    # Together they are the samples of a step.
    *("per_device_train_batch_size", "gradient_accumulation_steps"),
}
_FREE_KINDS = ("logging_", "log_", "eval_", "save_", "dataloader_num", "dataloader_p", "dataloader_m", "ddp_")


def find_checkpoint(args: TrainingArguments) -> str | None:
    """The checkpoint to resume from: the one named, or for `true` the latest in the output folder.

    Raises:
        UnlearningError: there is none, it was not saved whole, or without what a run needs to go on.
    """
    from hf_unlearn.trainers.base.checkpoints import is_whole, last_whole_checkpoint

    named = args.resume_from_checkpoint
    if named is None or str(named).lower() == "false":
        return None
    checkpoint = str(named)
    if checkpoint.lower() == "true":
        latest = last_whole_checkpoint(str(args.output_dir))
        if latest is None:
            raise UnlearningError(
                f"output_dir {args.output_dir!r} holds no checkpoint to resume from that was saved whole; expected "
                "one, or a run from the start with --overwrite_output_dir"
            )
        checkpoint = latest
    elif not os.path.isfile(os.path.join(checkpoint, "trainer_state.json")):
        raise UnlearningError(f"resume_from_checkpoint {named!r} is no checkpoint; expected a folder checkpoint-N")
    elif not is_whole(checkpoint):
        raise UnlearningError(
            f"resume_from_checkpoint {named!r} was not saved whole: its run ended meanwhile; expected an earlier one"
        )
    if not os.path.isfile(os.path.join(checkpoint, "optimizer.pt")):
        raise UnlearningError(
            f"checkpoint {checkpoint!r} holds the model alone (save_only_model): a run cannot go on from it; expected "
            "one with its optimizer"
        )
    return checkpoint


def run_identity(
    model: PreTrainedModel,
    image_processor: BaseImageProcessor,
    args: TrainingArguments,
    model_name: str,
    **what: tuple[str | None, str | None],
) -> dict[str, Any]:
    """What makes a run this run: the settings that count, what it is to do, and the model that it starts from.

    Args:
        model: as it is before the run; the same model by another path is the same.
        model_name: what the user calls it, for messages.
        what: what it is to do, by name: a digest of it, and what it is called.
    """
    from hf_unlearn.models.weights import weights_digest
    from hf_unlearn.publishing.settings import public_arguments

    config = {name: value for name, value in model.config.to_dict().items() if not name.startswith("_")}
    config.pop("transformers_version", None)
    rest = json.dumps([config, image_processor.to_dict()], sort_keys=True, default=str)
    settings = {
        name: value
        for name, value in public_arguments(args).items()
        if name not in _FREE and not name.startswith(_FREE_KINDS)
    }
    settings["samples_per_step"] = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    digest = hashlib.sha256(f"{weights_digest(model)} {rest}".encode()).hexdigest()
    every = {name: (value, value) for name, value in sorted(settings.items())}
    # The setting by which a model of random weights is another one is named before the model.
    return {name: list(value) for name, value in {**what, **every, "model": (digest, model_name)}.items()}


def check_resumed_run(checkpoint: str | None, run: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run than this one.

    Args:
        run: from [`run_identity`].

    Raises:
        UnlearningError: the checkpoint's run was another, or did not say; the message tells what differs and how.
    """
    if checkpoint is None:
        return
    try:
        saved = json.loads(Path(checkpoint, RUN_NAME).read_text(encoding="utf-8"))
        theirs = {name: (value, called) for name, (value, called) in saved.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UnlearningError(f"checkpoint {checkpoint!r} does not say what its run is: no {RUN_NAME}") from error
    # As a file keeps them.
    ours = json.loads(json.dumps(run))
    absent = None, None
    names = [*ours, *(name for name in theirs if name not in ours)]
    # Where one setting was changed, others may have followed from it.
    differing = [name for name in names if ours.get(name, absent)[0] != theirs.get(name, absent)[0]]
    if differing:
        (_, our_name), (_, their_name) = ours.get(differing[0], absent), theirs.get(differing[0], absent)
        changed = ", which has changed since then" if our_name == their_name else ""
        others = f"; {', '.join(differing[1:])} differ, too" if differing[1:] else ""
        raise UnlearningError(
            f"checkpoint {checkpoint!r} is of a run with {differing[0]} {their_name!r}, and this command says "
            f"{our_name!r}{changed}{others}; expected the same"
        )
