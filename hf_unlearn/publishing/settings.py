"""A run's settings as they may be published."""

from __future__ import annotations

import json
import math
from typing import Any

from transformers import TrainingArguments

_PRIVATE = {
    *("output_dir", "logging_dir", "resume_from_checkpoint", "run_name", "deepspeed", "fsdp_config"),
    *("accelerator_config", "project", "local_rank"),
}


def public_arguments(args: TrainingArguments) -> dict[str, Any]:
    """The arguments as JSON-able values, without tokens, names of people, and folders of the machine."""
    shown = {
        name: value
        for name, value in args.to_dict().items()
        if name not in _PRIVATE and not name.endswith("_token") and not name.startswith(("hub_", "push_", "trackio"))
    }
    # JSON has no infinity, and what else it does not know is written as text.
    finite = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in shown.items()
    }
    return json.loads(json.dumps(finite, default=str))
