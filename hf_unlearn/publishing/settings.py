"""A run's settings as they may be published."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

from transformers import TrainingArguments

_PRIVATE = {
    *("output_dir", "logging_dir", "resume_from_checkpoint", "run_name", "deepspeed", "fsdp_config"),
    *("accelerator_config", "project", "local_rank"),
    *("publish_request", "private_names", "publish_private_sources"),
}
# What does not change the model that a run makes.
_BESIDE = {
    *("report_to", "disable_tqdm", "per_device_eval_batch_size", "prediction_loss_only", "batch_eval_metrics"),
    *("load_best_model_at_end", "metric_for_best_model", "greater_is_better", "debug", "skip_memory_metrics"),
    *("restore_callback_states_from_checkpoint", "enable_jit_checkpoint", "label_names"),
}
_BESIDE_PREFIXES = ("log", "save_", "eval_", "include_", "do_", "dataloader_", "ddp_")
_NOTHING: tuple[Any, ...] = (None, False, [], {}, "", "none")


def public_arguments(args: TrainingArguments) -> dict[str, Any]:
    """The arguments as JSON-able values, without tokens, names of people, and folders of the machine."""
    shown = {
        name: value
        for name, value in args.to_dict().items()
        if name not in _PRIVATE and not name.endswith("_token") and not name.startswith(("hub_", "push_", "trackio"))
    }
    return {name: _plain(value) for name, value in shown.items()}


def given_arguments(args: TrainingArguments, followed: Iterable[str] = ()) -> dict[str, Any]:
    """Those of the public arguments that make a run another one than the method's defaults do.

    Args:
        followed: names of what was left open and followed from the request.
    """
    shown, passed_over = public_arguments(args), {*followed, *_BESIDE}
    given = {}
    for field in dataclasses.fields(args):
        if field.name not in shown or field.name in passed_over or field.name.startswith(_BESIDE_PREFIXES):
            continue
        made = field.default_factory
        usual = _plain(field.default if made is dataclasses.MISSING else made())
        value = shown[field.name]
        # What is not set is settled as one of several kinds of nothing.
        if value != usual and not (_is_nothing(value) and _is_nothing(usual)):
            given[field.name] = value
    return given


def _is_nothing(value: Any) -> bool:
    # A number 0 is a number.
    return value in _NOTHING and (value is False or not isinstance(value, (int, float)))


def _plain(value: Any) -> Any:
    """A value as JSON can say it: it has no infinity, and what else it does not know is written as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.loads(json.dumps(getattr(value, "value", value), default=str))
